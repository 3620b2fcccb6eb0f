"""Which conversation a message belongs to.

In this order:
1. A signed reply token names the conversation, in or out of its window.
2. In-Reply-To, then References from the newest to the oldest, name a mail of this customer that the lane knows: its
   conversation, in or out of its window. The id of another customer's mail is not known here.
3. A message in a group chat or a thread: the current conversation of that place.
4. A mail that asks for an agent: the current conversation with the same subject. Another subject is another topic. A
   mail without a subject joins the newest conversation.
5. Any other message: the newest current conversation of its channel, else of another channel.
The window only decides whether a conversation is current (3 to 5).
"""

import re
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from services.ingest.domain.conversations import Conversation, Customer
from services.ingest.domain.focus import MOST_ACTIVE, focused, newest, on_conversation
from services.ingest.domain.messages import Message

MOST_THREADS: Final = 64
"""The maximum number of Message-IDs that a customer keeps."""
_MOST_LOOKED_UP: Final = 50
_MOST_TOPIC: Final = 120
_MOST_PREFIXES: Final = 10
_EMAIL: Final = "email"
_PREFIX: Final = re.compile(
    r"\s{0,20}(?:(?:re|aw|sv|vs|fw|fwd|wg|tr|rv|antw)\s?(?:\[\d{1,3}\])?|پاسخ|ارجاع|هدایت|فوروارد)\s?[:：]",
    re.IGNORECASE,
)


def joined(customer: Customer, message: Message, now_ms: int) -> tuple[Customer, bool]:
    """Return the customer with the message's conversation in focus, and True; or the customer as they are, and False if
    the message belongs to no conversation so far."""
    for named in _named(customer, message):
        found = on_conversation(customer, named)
        if found.conversation is None:
            found = replace(found, conversation=_revived(customer, named, message, now_ms))
        return found, True
    place = newest(_of_place(customer, message, now_ms))
    if place is None:
        return customer, False
    return focused(customer, place), place.current(now_ms)


def topic_of(subject: str) -> str:
    """Return the subject as two mails of one topic have it: without "Re:" and the like, in lower case."""
    for _ in range(_MOST_PREFIXES):
        found = _PREFIX.match(subject)
        if found is None:
            break
        subject = subject[found.end() :]
    return " ".join(subject[: 2 * _MOST_TOPIC].split()).casefold()[:_MOST_TOPIC]


def with_thread(customer: Customer, message: Message, conversation_id: str) -> Customer:
    """Return the customer who remembers that this mail belongs to the conversation."""
    if message.identity.channel != _EMAIL or not message.native_message_id:
        return customer
    known = digest(message.native_message_id)
    if customer.threads.get(known) == conversation_id:
        return customer
    threads = {each: named for each, named in customer.threads.items() if each != known}
    threads[known] = conversation_id
    for oldest in list(threads)[:-MOST_THREADS]:
        del threads[oldest]
    return replace(customer, threads=threads)


def digest(native_id: str) -> str:
    """Return a short digest of a Message-ID: two ids of one customer never have the same by chance."""
    found = blake2b(native_id.encode("utf-8", "surrogatepass"), digest_size=9).digest()
    return urlsafe_b64encode(found).decode()


def _named(customer: Customer, message: Message) -> list[str]:
    """Return the conversations that the message names and that are the customer's, the strongest first."""
    origin = message.origin
    token = origin.conversation_id
    ours = message.participant or origin.owner == customer.key or _owned(customer, token)
    named = [token] if token and ours else []
    if customer.threads:
        references = message.reply_context.get("references", "").split()[-_MOST_LOOKED_UP:]
        ids = (each for each in (message.in_reply_to, *reversed(references)) if each)
        named += [customer.threads[known] for known in map(digest, ids) if known in customer.threads]
    return named


def _owned(customer: Customer, conversation_id: str) -> bool:
    return conversation_id in customer.owned_interactions or any(
        each.conversation_id == conversation_id for each in customer.in_memory
    )


def _revived(customer: Customer, conversation_id: str, message: Message, now_ms: int) -> Conversation:
    """Return a conversation that has left memory. The sender still knows its route, or the customer's own counts."""
    return Conversation(
        conversation_id=conversation_id,
        opened_at_ms=now_ms,
        last_at_ms=now_ms,
        language=customer.language,
        route=customer.route,
        place=message.place,
        topic=topic_of(message.subject),
    )


def _of_place(customer: Customer, message: Message, now_ms: int) -> list[Conversation]:
    """Return the conversations to which the message may belong without naming one."""
    there = [each for each in customer.in_memory if each.place == message.place]
    current = [each for each in there if each.current(now_ms)]
    where = (message.identity.channel, message.identity.account)
    if not message.opens:
        # An edit, a reaction or an automatic reply opens nothing. It may come after its conversation.
        return [each for each in current if _where(each) == where] or current or there
    full = sum(each.active for each in customer.in_memory) >= MOST_ACTIVE
    if message.place:
        chat = message.place.partition("/")[0]
        same = [each for each in customer.in_memory if each.active and each.place.partition("/")[0] == chat]
        return current or (same if full else [])
    if message.identity.channel == _EMAIL and (topic := topic_of(message.subject)):
        same = [each for each in current if each.topic == topic]
        return same or (current if full else [])
    return [each for each in current if _where(each) == where] or current


def _where(conversation: Conversation) -> tuple[str, str]:
    route = conversation.route
    return (route.identity.channel, route.identity.account) if route is not None else ("", "")
