"""Addresses, subjects and ids of mails as hostile text, for the functions that compare them."""

from services.ingest.domain import joining
from services.ingest.domain.conversations import Customer
from services.ingest.domain.messages import Identity, Message, Route
from services.ingest.domain.recipients import recipients, without_tag
from services.policy.model.mail_addresses import first_wrong, is_address


def addresses(given: str) -> None:
    """Check an address, send to it, and find the conversation of a mail with this text in its headers."""
    is_address(given), first_wrong((given,), (given,)), without_tag(given)
    who = Identity("i", "t", "email", "a", given[:400])
    recipients(Route(who, {"to": given[:400]}, given[:2_000], 0), (given,), (given,))
    context = {"references": given[:16_384]}
    message = Message(
        message_id="m",
        identity=who,
        native_message_id=given,
        subject=given[:2_000],
        in_reply_to=given,
        reply_context=context,
    )
    known = joining.with_thread(Customer(key="i", identity=who, last_seen_ms=0), message, "c")
    joining.joined(known, message, 0)
    joining.topic_of(given)
