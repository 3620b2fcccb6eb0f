"""Who the author of a mail is, what proves it, and to whom the mail belongs: the rules, given what the edge has verified
over the raw bytes.

- The author is the address in From. The mail belongs to the author, unless it asks for answers at another address.
- A proven author who signs a Reply-To that differs from From writes for another person: a form on a web site, a ticket
  system, a person's other mailbox. The customer is the address in Reply-To, so two people who use one form are two
  customers. The author's statement about the customer is not a proof: a form accepts any address. So the message opens
  an interaction of its own and never moves the answers of an open conversation of the person whom it names.
- A Reply-To that a proven author did not sign is shown and not used: the mail may have been sent again with it.
- A Reply-To of an unproven mail is an alternative, `answer_to`: the lane of the author decides (`domain.form_mailers`).
- A Reply-To of a machine (a mailing list, a vacation responder), or with an address of ours, is shown and not used.
- A reply token is a proof for its conversation; see `domain.origin`. Of author and Reply-To, the customer is the one to
  whom the mail with the token was sent.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.domain.origin import Origin, OriginProof
from services.policy.model.automatic import AutomaticKind

CONVERSATION_LABEL: Final = "in_reply_to_conversation"


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What the edge verified. `author` is the address in From. `covers_reply_to`: the author's proof covers the
    Reply-To too."""

    author: str = ""
    proof: OriginProof = OriginProof.NONE
    evidence: str = ""
    covers_reply_to: bool = False


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What must be known of the account that received the mail: the identity of an address, and whether an address is
    ours."""

    identity_of: Callable[[str], str]
    is_ours: Callable[[str], bool]


def with_origin(message: IncomingMessage, known: Authenticated, mailbox: Mailbox) -> IncomingMessage:
    """Return the message with its origin, under the identity that sent it."""
    author, asked = message.native_id, message.answer_to
    proven = known.proof is not OriginProof.NONE and known.author == author
    evidence = known.evidence if known.author in ("", author) else "the author is ambiguous"
    usable = bool(asked) and message.automatic.kind is AutomaticKind.NONE and not mailbox.is_ours(asked)
    token, owner = message.origin.conversation_id, message.origin.owner
    # An acknowledgement may go to the envelope sender only.
    plain = replace(message, answer_to="", answer_to_name="", no_auto_reply=message.no_auto_reply or usable)
    if token:
        proof = known.proof if proven else OriginProof.REPLY_TOKEN
        origin = Origin(proof, f"reply token; {evidence}".rstrip("; "), token, author, asked, owner)
        if usable and owner not in ("", mailbox.identity_of(author)) and owner == mailbox.identity_of(asked):
            origin = replace(origin, proof=OriginProof.REPLY_TOKEN)
            return _at_reply_to(message, origin)
        return replace(plain, origin=origin, verified=proven)
    origin = Origin(known.proof if proven else OriginProof.NONE, evidence, "", author, asked)
    if usable and proven and known.covers_reply_to:
        return _at_reply_to(message, replace(origin, proof=OriginProof.NONE, evidence=f"sent by {author}: {evidence}"))
    if usable and not proven:
        return replace(message, origin=origin, verified=False, no_auto_reply=True)
    return replace(plain, origin=origin, verified=proven)


def _at_reply_to(message: IncomingMessage, origin: Origin) -> IncomingMessage:
    """Return the message under the identity at which it asks to be answered."""
    return replace(
        message,
        native_id=message.answer_to,
        display_name=message.answer_to_name,
        answer_to="",
        answer_to_name="",
        origin=origin,
        verified=False,
        no_auto_reply=True,
    )
