"""Who a message is from, and how that is known. An edge states it once; the core decides by it and nothing else.

A proof is about the sender whom the message names. A reply token is about one conversation: its holder has read a
mail of ours in that conversation, which says nothing about any other.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class OriginProof(IntEnum):
    """How the origin is known; the numbers are the contract's."""

    NONE = 0
    REPLY_TOKEN = 1
    DKIM_DMARC = 2
    TRUSTED_RESULTS = 3
    PROVIDER_SIGNATURE = 4
    SIGNED_IDENTITY = 5
    VISITOR_TOKEN = 6
    CALLER = 7


@dataclass(frozen=True, slots=True)
class Origin:
    """What a message says of its origin, and what of that is proven. `author` and `reply_to` are personal data.

    `reply_to` is the address that the message asks to be answered at, where it is not the author's.
    """

    proof: OriginProof = OriginProof.NONE
    evidence: str = ""
    conversation_id: str = ""
    author: str = ""
    reply_to: str = ""

    def proven(self, conversation_id: str) -> bool:
        """Whether the origin is proven for a message in this conversation."""
        if self.proof is OriginProof.REPLY_TOKEN:
            return bool(conversation_id) and self.conversation_id == conversation_id
        return self.proof is not OriginProof.NONE


UNPROVEN: Final = Origin()
