"""I1 and I7 from conversations.v1: each acknowledged message once and in order; each interaction opened and closed once."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from chapar.ingest.v1 import records_pb2 as pb
from services.chassis.kafka.records import Record
from tests.simulation.customers import CONVERSATIONS
from tests.simulation.invariants.routing import Routing
from tests.simulation.ledger import Ledger
from tests.simulation.world import World


def conversations(world: World, ledger: Ledger, routing: Routing) -> Iterator[str]:
    """Yield the violations."""
    records = [
        (record, pb.ConversationRecord.FromString(record.value or b"")) for record in world.log.of(CONVERSATIONS)
    ]
    yield from _once(records)
    yield from _messages(records, ledger)
    yield from _interactions([found for _, found in records], routing)


def _once(records: list[tuple[Record, pb.ConversationRecord]]) -> Iterator[str]:
    for event_id, times in Counter(found.event_id for _, found in records).items():
        if times > 1:
            yield f"I8 event {event_id} of a conversation was written {times} times"


def _messages(records: list[tuple[Record, pb.ConversationRecord]], ledger: Ledger) -> Iterator[str]:
    order: dict[str, list[str]] = defaultdict(list)
    written = {message.message_id: message.identity_id for message in ledger.messages}
    for _, found in records:
        if found.WhichOneof("record") == "message" and found.message.message_id in written:
            order[written[found.message.message_id]].append(found.message.message_id)
    sent: dict[str, list[str]] = defaultdict(list)
    for message in ledger.messages:
        sent[message.identity_id].append(message.message_id)
    for identity_id, expected in sent.items():
        if order[identity_id] != expected:
            yield f"I1, I7 identity {identity_id} wrote {expected}, and its conversations have {order[identity_id]}"


def _interactions(records: list[pb.ConversationRecord], routing: Routing) -> Iterator[str]:
    opened = Counter(
        found.interaction_opened.interaction_id
        for found in records
        if found.WhichOneof("record") == "interaction_opened"
    )
    closed = {
        found.interaction_closed.interaction_id: found.interaction_closed.outcome
        for found in records
        if found.WhichOneof("record") == "interaction_closed"
    }
    for interaction_id, times in opened.items():
        story = routing.stories.get(interaction_id)
        if times > 1:
            yield f"I1 interaction {interaction_id} was opened {times} times"
        if story is None:
            yield f"I1 interaction {interaction_id} never reached the router"
        elif closed.get(interaction_id) != story.end:
            yield f"I1 interaction {interaction_id} ended as {story.end!r}, and its conversation has {closed.get(interaction_id)!r}"
    for interaction_id in routing.stories.keys() - opened.keys():
        yield f"I8 the router has interaction {interaction_id}, which no conversation opened"
