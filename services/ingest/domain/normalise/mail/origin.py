"""Who the author of a mail is, and what proves it: the rules, given what the edge has verified over the raw bytes.

- The author is the address in From. The author is the customer, unless a proven mail asks for answers at another
  address.
- A proven author who signs a Reply-To that differs from From writes for another person: a form on a web site, a ticket
  system, a person's other mailbox. The customer is the address in Reply-To, so two people who use one form are two
  customers. The author's statement about the customer is not a proof: a form accepts any address. So the message opens
  an interaction of its own and never moves the answers of an open conversation of the person whom it names.
- A Reply-To without proof is shown and not used.
- A reply token is a proof for its conversation; see `domain.origin`.
"""

from dataclasses import dataclass, replace
from typing import Final

from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.domain.origin import Origin, OriginProof
from services.ingest.domain.reply_routes import REPLY_TO

CONVERSATION_LABEL: Final = "in_reply_to_conversation"


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What the edge verified. `author` is the address in From. `covers_reply_to`: the author's proof covers the
    Reply-To too."""

    author: str = ""
    proof: OriginProof = OriginProof.NONE
    evidence: str = ""
    covers_reply_to: bool = False


def with_origin(message: IncomingMessage, known: Authenticated) -> IncomingMessage:
    """Return the message with its origin, under the identity that sent it."""
    author, reply_to = message.native_id, message.reply_context.get(REPLY_TO, "")
    proven = known.proof is not OriginProof.NONE and known.author == author
    evidence = known.evidence if known.author in ("", author) else "the author is ambiguous"
    token = message.labels.get(CONVERSATION_LABEL, "")
    if token:
        origin = Origin(OriginProof.REPLY_TOKEN, f"reply token; {evidence}".rstrip("; "), token, author, reply_to)
        # An acknowledgement may go to the envelope sender only, and an answer goes to the Reply-To here.
        return replace(message, origin=origin, verified=proven, no_auto_reply=message.no_auto_reply or bool(reply_to))
    context = {name: value for name, value in message.reply_context.items() if name != REPLY_TO}
    if proven and reply_to and known.covers_reply_to:
        origin = Origin(OriginProof.NONE, f"sent by {author}: {evidence}", "", author, reply_to)
        return replace(
            message, native_id=reply_to, reply_context=context, origin=origin, verified=False, no_auto_reply=True
        )
    proof = known.proof if proven else OriginProof.NONE
    origin = Origin(proof, evidence, "", author, reply_to)
    return replace(message, reply_context=context, origin=origin, verified=proven)
