"""The sender of a message, and how the sender is known. An edge states it once; the core decides by nothing else.

A proof is about the sender whom the message names. A reply token is about one conversation only: its holder has read a
mail of ours in that conversation, which proves nothing about any other conversation.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class OriginProof(IntEnum):
    """How the origin is known. The numbers are those of the contract."""

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
    """What a message claims about its origin, and which part of that is proven. `author` and `reply_to` are personal
    data.

    `reply_to` is the address for answers that the message asks for, if it differs from the author's. `owner` is the
    identity to which the mail with the reply token was sent; empty in a token of an earlier version.
    """

    proof: OriginProof = OriginProof.NONE
    evidence: str = ""
    conversation_id: str = ""
    author: str = ""
    reply_to: str = ""
    owner: str = ""

    def proven(self, conversation_id: str) -> bool:
        """Return whether the origin is proven for a message in this conversation."""
        if self.proof is OriginProof.REPLY_TOKEN:
            return bool(conversation_id) and self.conversation_id == conversation_id
        return self.proof is not OriginProof.NONE


UNPROVEN: Final = Origin()
