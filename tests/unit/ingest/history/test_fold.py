"""Facts to rows: the order between topics, partitions and batches makes no difference."""

from random import Random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.kafka.records import Record
from services.ingest.adapters.history.fold import Rows
from services.ingest.adapters.history.mapping import fact
from tests.contract.history.records import T0, Life, as_records, whole_life
from tests.fakes.privacy import MemoryKeys

_TABLES: Final = (
    "events",
    "messages",
    "conversations",
    "identities",
    "interactions",
    "deliveries",
    "invitations",
)


def folded(records: list[Record]) -> dict[str, Any]:
    """Return the rows of these records, folded one after the other."""
    rows = Rows()
    for record in records:
        found = fact(record, MemoryKeys())
        if found is not None:
            rows.fold([found])
    rows.events.sort(key=lambda event: event.event_id)
    return {name: getattr(rows, name) for name in _TABLES}


def lives() -> list[Record]:
    """Two whole lives and, for the first person, a second conversation; one conversation was erased in between."""
    first, second = whole_life("a"), whole_life("b", start=T0 + 3)
    first.delivery()
    first.prefers(("email", 2), preferred="email")
    first.erased()
    second.prefers(("", 1), preferred="telegram")
    again = Life("a2", at=first.at - 1500, identity="a-id", person="a-p")
    again.opened()
    again.said("again")
    lost = Life("c")
    lost.began()
    lost.routed(queued=router_pb2.InteractionQueued())
    lost.closed("cancelled")  # the router's own event of it is missing
    return [
        *as_records(first.log),
        *(_on(1, record) for record in as_records(second.log)),
        *(_on(2, record) for record in as_records(again.log)),
        *(_on(3, record) for record in as_records(lost.log)),
    ]


def _on(partition: int, record: Record) -> Record:
    return Record(record.topic, partition, record.offset, 0, record.key, record.value, ())


_RECORDS = lives()
_QUEUES = sorted({(record.topic, record.partition) for record in _RECORDS})
_EXPECTED = folded(_RECORDS)


@settings(max_examples=150)
@given(st.integers(0, 1 << 32))
def test_any_interleaving_ends_in_the_same_rows(seed: int) -> None:
    """Each partition keeps its order; whichever is read first, the rows are the same."""
    chance = Random(seed)  # one draw instead of a hundred
    waiting = {queue: [r for r in _RECORDS if (r.topic, r.partition) == queue] for queue in _QUEUES}
    order: list[Record] = []
    while left := [queue for queue in _QUEUES if waiting[queue]]:
        queue, some = chance.choice(left), chance.randint(1, 8)
        order += waiting[queue][:some]
        del waiting[queue][:some]
    assert folded(order) == _EXPECTED


@settings(max_examples=50)
@given(st.permutations(range(6)))
def test_the_later_epoch_wins(order: list[int]) -> None:
    """Routing events decide by their epoch, not by when they are read: queue, agent and state come from the last epoch."""
    life = Life()
    life.routed(queued=router_pb2.InteractionQueued())
    life.routed(assigned=router_pb2.InteractionAssigned(agent_id="omid"))
    life.routed("support", transferred=router_pb2.InteractionTransferred(from_agent_id="omid", queue="support"))
    life.routed("support", offered=router_pb2.InteractionOffered(agent_id="sara"))
    life.routed("support", assigned=router_pb2.InteractionAssigned(agent_id="sara"))
    life.routed("support", agent_replied=router_pb2.AgentReplied(agent_id="sara"))
    records = as_records(life.log)
    row = folded([records[index] for index in order])["interactions"]["acme", "one-i"]
    assert (row.state, row.agent_id, row.queue, row.attributes_epoch) == ("assigned", "sara", "support", 6)


@settings(max_examples=25)
@given(st.lists(st.integers(0, len(_RECORDS) - 1), max_size=20))
def test_repetitions_change_nothing(again: list[int]) -> None:
    """Records that come again, at whatever offset and in whatever order, are recognised by their event ids."""
    repeated = [Record(r.topic, r.partition, 10_000 + n, 0, r.key, r.value, ()) for n, r in enumerate(_RECORDS)]
    assert folded([*_RECORDS, *(repeated[index] for index in again)]) == _EXPECTED


def test_the_example_has_the_difficult_cases() -> None:
    """It has an erasure, an agent, an end, and a second conversation of the erased person."""
    assert _EXPECTED["interactions"]["acme", "a-i"].agent_id == "sara"
    assert _EXPECTED["interactions"]["acme", "b-i"].state == "completed"
    assert _EXPECTED["interactions"]["acme", "c-i"].state == "cancelled"
    assert _EXPECTED["conversations"]["acme", "a-c"].erased_at_ms
    assert _EXPECTED["identities"]["acme", "a-id"].native_id == ""
    assert _EXPECTED["identities"]["acme", "b-id"].native_id == "native-b"
    assert _EXPECTED["deliveries"]["acme", "a-d"].native_ids == []
    assert _EXPECTED["deliveries"]["acme", "b-d"].native_ids == ["77"]
