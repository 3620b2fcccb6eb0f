"""I7: per-conversation order, and no gap except marked dead letters.

- A customer who sends a message only when the one before it was acknowledged finds them in that order.
- Every customer's message in the input (inbound.v1) is in a conversation, or is a dead letter, or the fault took its record out of the
  input.
- The events of an interaction are in one partition, and their epochs have no gap.
- Every request to route (a command with `enqueue`) has its first event, or is a dead letter.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.history.history import History
from tests.chaos.history.model import Acknowledged, Violation

NAME = "I7"
CUSTOMER_MESSAGE = "message"


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    refused = {
        (letter.value.origin_topic, letter.value.origin_partition, letter.value.origin_offset)
        for letter in history.topics.dead_letters
    }
    yield from _customers(history)
    yield from _inputs(history, refused)
    yield from _epochs(history)
    for command in history.topics.commands:
        interaction_id = command.value.enqueue.interaction.interaction_id
        known = interaction_id in history.interactions or command.record.place in refused
        if interaction_id and not known and history.overdue(command.value.issued_at_ms):
            yield Violation(NAME, "gap", f"interaction {interaction_id}", "its command has no event")


def _customers(history: History) -> Iterator[Violation]:
    sent: dict[tuple[str, str, str], list[Acknowledged]] = defaultdict(list)
    for message in history.clients.acknowledged:
        sent[message.tenant, message.channel, message.customer].append(message)
    for customer, messages in sent.items():
        places = [
            (record.record.partition, record.record.offset, message.mark, record.value.conversation_id)
            for message in sorted(messages, key=lambda message: message.number)
            for record in history.messages.get(message.mark, [])[:1]
        ]
        for before, after in pairwise(places):
            if before[3] == after[3] and after[:2] < before[:2]:
                yield Violation(NAME, "order", f"customer {'/'.join(customer)}", f"{after[2]} is before {before[2]}")


def _inputs(history: History, refused: set[tuple[str, int, int]]) -> Iterator[Violation]:
    known = {
        record.value.message.message_id
        for record in history.topics.conversations
        if record.value.WhichOneof("record") == CUSTOMER_MESSAGE
    }
    for record in history.topics.inbound:
        if record.value.WhichOneof("record") != CUSTOMER_MESSAGE or record.value.message.customer_left:
            continue
        message = record.value.message
        place = record.record.place
        handled = message.message_id in known or place in refused or place in history.lost
        if not handled and history.overdue(message.received_at_ms):
            yield Violation(NAME, "gap", f"message {message.message_id}", "of inbound.v1: it is in no conversation")


def _epochs(history: History) -> Iterator[Violation]:
    for interaction_id, events in history.interactions.items():
        subject = f"interaction {interaction_id}"
        if len({event.record.partition for event in events}) > 1:
            yield Violation(NAME, "order", subject, "its events are in several partitions")
        numbers = sorted({event.value.epoch for event in events})
        if numbers != list(range(1, len(numbers) + 1)):
            missing = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
            yield Violation(NAME, "gap", subject, f"events {missing} are missing")
