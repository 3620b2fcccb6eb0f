"""Where a conversation is answered. Only this module decides it.

- A route changes only by a message whose origin is proven for this conversation. An unproven message is recorded and
  shown, and the conversation is still answered where it was answered before.
- If no route is known yet, an unproven message is answered at the address of the identity that it has: an answer to a
  forged mail contains nothing of another customer's conversation. A Reply-To counts only when it is proven.
- A reply token proves that its holder has a mail of ours. Each reader to whom that mail was copied or forwarded has it too.
  So a message with a token chooses the thread and the subject of the next answer, and never another address.
- While a conversation has never had a proven message, an unproven one from the same address may say which of its mails
  is answered (threading), because that does not move answers to another address.
- An automatic message never changes a route: a vacation responder or a bounce is not where a customer wants an answer.
- A message that others can read never replaces a route that only the customer reads.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.ingest.domain.messages import Message, Route
from services.ingest.domain.origin import OriginProof

REPLY_TO: Final = "reply_to"
PUBLIC: Final = "public"
_THREADING: Final = frozenset({"message_id", "references", "to", "callback_query_id"})
"""The keys of a reply context that say which message is answered. All other keys are part of the address."""


def next_route(known: Route | None, message: Message, conversation_id: str, now_ms: int) -> Route:
    """Return the conversation's route after this message, or `known` itself if nothing changes."""
    proven = message.origin.proven(conversation_id)
    asked = _asked(message, now_ms, proven=proven)
    if known is None:
        return asked
    if not message.by_person or (_public(asked) and not _public(known)):
        return known
    if proven and message.origin.proof is not OriginProof.REPLY_TOKEN:
        return asked
    if proven:
        return _in_thread(known, asked)
    if known.proof is not OriginProof.NONE or _address(asked) != _address(known):
        return known
    return replace(
        asked,
        last_customer_message_at_ms=max(known.last_customer_message_at_ms, asked.last_customer_message_at_ms),
    )


def lasting_route(known: Route | None, newest: Route) -> Route:
    """Return how the person is reached outside a conversation: an unproven route never replaces a proven one."""
    if known is not None and known.proof is not OriginProof.NONE and newest.proof is OriginProof.NONE:
        return known
    return newest


def _asked(message: Message, now_ms: int, *, proven: bool) -> Route:
    """Return the route that the message alone asks for."""
    context = dict(message.reply_context)
    if not proven or message.origin.proof is OriginProof.REPLY_TOKEN:
        context.pop(REPLY_TO, None)
    if message.labels.get(PUBLIC) == "true":
        context[PUBLIC] = "true"
    proof = message.origin.proof if proven else OriginProof.NONE
    sent_at_ms = min(message.sent_at_ms or now_ms, now_ms)
    return Route(message.identity, context, message.subject, sent_at_ms, proof)


def _in_thread(known: Route, asked: Route) -> Route:
    """Return the known address, with what `asked` says about the message that is answered."""
    if known.identity.channel != asked.identity.channel:
        return known
    address = {name: value for name, value in known.context.items() if name not in _THREADING}
    thread = {name: value for name, value in asked.context.items() if name in _THREADING}
    return replace(
        known,
        context={**address, **thread},
        subject=asked.subject,
        last_customer_message_at_ms=max(known.last_customer_message_at_ms, asked.last_customer_message_at_ms),
        proof=known.proof or asked.proof,
    )


def _public(route: Route) -> bool:
    return route.context.get(PUBLIC) == "true"


def _address(route: Route) -> tuple[str, str, str, Mapping[str, str]]:
    where = route.identity
    context = {name: value for name, value in route.context.items() if name not in _THREADING}
    return where.channel, where.account, where.native_id, context
