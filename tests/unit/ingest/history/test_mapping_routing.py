"""How history shows routing events."""

import pytest

from chapar.router.v1 import records_pb2
from services.chassis.kafka.records import Record
from services.ingest.adapters.history.mapping import fact
from tests.fakes.privacy import MemoryKeys

EVENTS = [field.name for field in records_pb2.RoutingEvent.DESCRIPTOR.oneofs_by_name["event"].fields]


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_of_an_interaction_has_its_step(name: str) -> None:
    """An event that history does not know would be refused. An agent's own state is not part of a conversation."""
    event = records_pb2.RoutingEvent(event_id="e", tenant="acme")
    event.interaction.interaction_id, event.interaction.conversation_id = "i", "c"
    getattr(event, name).SetInParent()
    found = fact(Record("routing.events.v1", 0, 0, 1, b"c", event.SerializeToString(), ()), MemoryKeys())
    assert (found is None) == (name == "agent_state_changed")
