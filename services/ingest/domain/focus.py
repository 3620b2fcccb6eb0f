"""Which of a customer's conversations a decision is about: the one in focus.

A customer can have several conversations in memory. A decision concerns one of them, which is `Customer.conversation`
while the decision is made; the others wait in `Customer.others`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from services.ingest.domain.conversations import Conversation, Customer

MOST_PAST: Final = 8
"""The maximum number of past conversations by e-mail that stay in memory, so that an answer to one of them is sent in its
own thread. Conversations of other channels leave memory after their window."""
MOST_INACTIVE: Final = 20
"""The maximum number of conversations without an active interaction; the oldest leave first."""
MOST_ACTIVE: Final = 20
"""The maximum number of conversations of a customer with an active interaction. A further topic joins the newest one."""


def focused(customer: Customer, conversation: Conversation | None) -> Customer:
    """Return the customer with this conversation of theirs in focus; None: with none in focus."""
    before = customer.conversation
    if before is None and conversation is None:
        return customer
    if before is not None and conversation is not None and before.conversation_id == conversation.conversation_id:
        return customer
    others = tuple(each for each in customer.in_memory if each is not conversation)
    return replace(customer, conversation=conversation, others=others)


def on_conversation(customer: Customer, conversation_id: str) -> Customer:
    """Return the customer with the named conversation in focus; with none in focus when it is not in memory."""
    found = (each for each in customer.in_memory if each.conversation_id == conversation_id)
    return focused(customer, next(found, None))


def on_interaction(customer: Customer, interaction_id: str) -> Customer:
    """Return the customer with the conversation of this open interaction in focus, or unchanged when there is none."""
    for each in customer.in_memory:
        if each.interaction is not None and each.interaction.interaction_id == interaction_id:
            return focused(customer, each)
    return customer


def on_newest(customer: Customer) -> Customer:
    """Return the customer with the newest conversation in focus that is not a group chat's; with none if there is none."""
    return focused(customer, newest(each for each in customer.in_memory if not each.public))


def newest(conversations: Iterable[Conversation]) -> Conversation | None:
    """Return the conversation with the newest message, or None. Of equally new ones, the last."""
    found: Conversation | None = None
    for each in conversations:
        if found is None or each.last_at_ms >= found.last_at_ms:
            found = each
    return found


def pruned(customer: Customer, now_ms: int, grace_ms: int) -> Customer:
    """Return the customer without the conversations that are over, except the newest ones by e-mail."""
    past = [each for each in customer.in_memory if not each.current(now_ms - grace_ms)]
    if not past:
        return customer
    kept = sorted((each for each in past if by_mail(each)), key=lambda each: each.last_at_ms)[-MOST_PAST:]
    stay = {each.conversation_id for each in kept}
    if len(kept) == len(past) and all(each.over for each in past):
        return customer
    changed = {
        each.conversation_id: replace(each, over=True) if each.conversation_id in stay else None for each in past
    }
    return with_changed(customer, changed)


def bounded(customer: Customer) -> Customer:
    """Return the customer without the oldest conversations of too many that have no active interaction."""
    if len(customer.others) <= MOST_INACTIVE:
        return customer
    inactive = [each for each in customer.others if not each.active]
    oldest = sorted(inactive, key=lambda each: each.last_at_ms)[: max(0, len(inactive) - MOST_INACTIVE)]
    return with_changed(customer, {each.conversation_id: None for each in oldest})


def with_changed(customer: Customer, changed: Mapping[str, Conversation | None]) -> Customer:
    """Return the customer with these conversations replaced, or removed (None)."""
    focus = customer.conversation
    others = (changed.get(each.conversation_id, each) for each in customer.others)
    return replace(
        customer,
        conversation=changed.get(focus.conversation_id, focus) if focus is not None else None,
        others=tuple(each for each in others if each is not None),
    )


def by_mail(conversation: Conversation) -> bool:
    """Return whether the conversation is answered by e-mail."""
    return conversation.route is not None and conversation.route.identity.channel == "email"
