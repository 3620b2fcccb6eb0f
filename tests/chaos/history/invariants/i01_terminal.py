"""I1: every acknowledged message reaches exactly one terminal state, or is open within the drain bound.

- A customer's message is in exactly one conversation, once. It opened an interaction, or the router added it to an open
  one. Each interaction is opened once and ends once: completed, abandoned or cancelled.
- A reply that was confirmed to its agent reaches the customer once, or is recorded as failed or of unknown outcome;
  one of unknown outcome may have reached them.
- Each request to send gets one final outcome.
- A message, a reply or a request whose own record the fault took out of its topic is excused; it may still not be doubled.
"""

from collections import Counter
from collections.abc import Iterator

from chapar.ingest.v1 import records_pb2 as ingest_pb2
from tests.chaos.history.history import ENDS, History
from tests.chaos.history.model import ConfirmedReply, Violation

NAME = "I1"
EXPLAINED = frozenset({ingest_pb2.DELIVERY_STATE_FAILED, ingest_pb2.DELIVERY_STATE_UNKNOWN})


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    yield from _messages(history)
    yield from _interactions(history)
    yield from _replies(history)
    yield from _requests(history)


def _messages(history: History) -> Iterator[Violation]:
    acknowledged = {message.mark: message for message in history.clients.acknowledged}
    for mark, message in acknowledged.items():
        found = history.messages.get(mark, [])
        if not found:
            if history.overdue(message.at_ms) and mark not in history.lost_marks:
                yield Violation(NAME, "lost", f"message {mark}", f"{message.channel}: it is in no conversation")
            continue
        message_id = found[0].value.message.message_id
        carried = history.opened_by.get(message_id, []) + history.joined.get(message_id, [])
        if not carried and history.overdue(message.at_ms):
            yield Violation(NAME, "lost", f"message {mark}", "no interaction carries it")
        if len(carried) > 1:
            yield Violation(NAME, "doubled", f"message {mark}", f"{len(carried)} interactions carry it")
    for mark, records in history.messages.items():
        if len(records) > 1:
            yield Violation(NAME, "doubled", f"message {mark}", f"it is in conversations {len(records)} times")


def _interactions(history: History) -> Iterator[Violation]:
    for interaction_id, records in history.opened.items():
        subject = f"interaction {interaction_id}"
        if len(records) > 1:
            yield Violation(NAME, "doubled", subject, f"it was opened {len(records)} times")
        events = history.interactions.get(interaction_id, [])
        ends = [kind for event in events if (kind := event.value.WhichOneof("event")) in ENDS]
        if len(ends) > 1:
            yield Violation(NAME, "doubled", subject, f"it ended as {', '.join(map(str, ends))}")
        if not ends and history.overdue(records[0].value.occurred_at_ms):
            last = events[-1].value.WhichOneof("event") if events else "nothing"
            yield Violation(NAME, "lost", subject, f"it never ended; the last event is {last}")


def _replies(history: History) -> Iterator[Violation]:
    arrivals = Counter(arrival.mark for arrival in history.clients.arrivals)
    for reply in history.clients.replies:
        states = _states(history, reply)
        if states & EXPLAINED or not history.overdue(reply.at_ms):
            continue
        arrived = arrivals[reply.mark] if reply.watched else len(history.messages.get(reply.mark, []))
        if not arrived and reply.mark not in history.lost_marks:
            yield Violation(NAME, "lost", f"reply {reply.mark}", "it was confirmed and did not reach the customer")
    for mark, count in arrivals.items():
        if count > 1 and mark.startswith("#r"):
            yield Violation(NAME, "doubled", f"reply {mark}", f"it reached the customer {count} times")


def _states(history: History, reply: ConfirmedReply) -> set[int]:
    delivery = history.delivery_of_mark.get(reply.mark, "")
    return {record.value.state for record in history.outcomes.get(delivery, [])}


def _requests(history: History) -> Iterator[Violation]:
    for delivery, request in history.requests.items():
        outcomes = history.outcomes.get(delivery, [])
        if len(outcomes) > 1:
            yield Violation(NAME, "doubled", f"delivery {delivery}", f"it has {len(outcomes)} final outcomes")
        excused = request.record.place in history.lost
        if not outcomes and not excused and history.overdue(request.value.request.requested_at_ms):
            yield Violation(NAME, "lost", f"delivery {delivery}", "it has no final outcome")
