"""How history shows SLA targets."""

import pytest

from chapar.sla.v1 import sla_pb2
from services.chassis.kafka.records import Record
from services.ingest.adapters.history.mapping import fact
from tests.fakes.privacy import MemoryKeys

KINDS = [value.number for value in sla_pb2.SlaEventKind.DESCRIPTOR.values if value.number]


@pytest.mark.parametrize("kind", KINDS, ids=sla_pb2.SlaEventKind.Name)
def test_each_kind_of_event_has_its_step(kind: "sla_pb2.SlaEventKind.ValueType") -> None:
    """A kind that history does not know would be refused."""
    event = sla_pb2.SlaEvent(event_id="e", tenant="acme", interaction_id="i", conversation_id="c", kind=kind)
    event.action.add_priority, event.action.queue = 5, "rescue"
    event.action.requirements.add(attribute="senior")
    found = fact(Record("sla.events.v1", 0, 0, 1, b"c", event.SerializeToString(), ()), MemoryKeys())
    assert found is not None
    details = found.event.details
    assert (details["priority_added"], details["moved_to"], details["requirements"]) == ("5", "rescue", "senior")
