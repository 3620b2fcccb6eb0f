"""The requirements of a rule and the wishes of a submitter reach the router completely."""

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.timestamp_pb2 import Timestamp

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import ingest_pb2, records_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.errors import ChaparError
from services.ingest.adapters.edges.grpc_submit import submitted
from services.ingest.adapters.history.mapping_routing import routed
from services.ingest.ports import Account
from services.ingest.translate.edges import inbound_record
from tests.flow.ingest.world import TENANT, World, a_configuration, a_message, an_identity

ACCOUNT = Account(TENANT, "grpc", "default", {}, {}, "en")
WISHES = records_pb2.RoutingWishes(start_at_ms=5_000, due_at_ms=6_000, preferred_agent="sara", preferred_team="red")


def wished(facts: router_pb2.InteractionAttributes) -> tuple[int, int, str, str]:
    """Return the wishes that the router receives."""
    return facts.start_at_ms, facts.due_at_ms, facts.preferred_agent, facts.preferred_team


def test_submitted_wishes_reach_the_router() -> None:
    """Times, agent and team are copied from the request to the command."""
    request = ingest_pb2.SubmitRequest(
        idempotency_key="k",
        native_id="n",
        text="call me at five",
        start_at=Timestamp(seconds=5),
        due_at=Timestamp(seconds=6),
        preferred_agent="sara",
        preferred_team="red",
    )
    record = inbound_record(ACCOUNT, submitted(ACCOUNT, request), 1_700_000_000_000)
    assert record.message.wishes == WISHES
    world = World()
    world.customer(record)
    (facts,) = world.enqueued
    assert wished(facts) == (5_000, 6_000, "sara", "red")


def test_without_wishes_no_wishes_are_encoded() -> None:
    """The most common message has none, and none are encoded."""
    record = inbound_record(
        ACCOUNT, submitted(ACCOUNT, ingest_pb2.SubmitRequest(idempotency_key="k", native_id="n", text="hello")), 1
    )
    assert not record.message.HasField("wishes")
    world = World()
    world.customer(a_message())
    assert wished(world.enqueued[0]) == (0, 0, "", "")


@pytest.mark.parametrize("field", ["start_at", "due_at"])
@pytest.mark.parametrize("seconds", [-1, 0, 253_402_300_800])
def test_invalid_times_are_refused_by_field(field: str, seconds: int) -> None:
    """The router would ignore them, and the customer's wish with them."""
    request = ingest_pb2.SubmitRequest(idempotency_key="k", native_id="n", text="hello")
    getattr(request, field).seconds = seconds
    with pytest.raises(ChaparError) as error:
        submitted(ACCOUNT, request)
    assert [v.field for v in error.value.violations] == [field]


def test_gathered_messages_keep_their_wishes_over_a_restart() -> None:
    """Of several fragments the newest wish counts; a takeover in between loses none."""
    world = World()
    who = an_identity("15550001", "whatsapp", "wa")
    first = a_message("one", identity=who)
    first.message.wishes.CopyFrom(records_pb2.RoutingWishes(preferred_agent="omid", preferred_team="red"))
    second = a_message("two", identity=who, native_message_id="m2")
    second.message.wishes.preferred_agent = "sara"
    world.customer(first)
    world.intake.crash()
    world.customer(second)
    world.wait(6_000)
    (facts,) = world.enqueued
    assert wished(facts) == (0, 0, "sara", "red")


def test_requirements_of_rules_arrive_with_groups_and_steps() -> None:
    """Everything that a rule can require reaches the router."""
    selector = ParseDict(
        {
            "anyOf": [
                {"attribute": "french", "number": 4, "steps": [{"afterMs": 5, "number": 3}]},
                {"allOf": [{"attribute": "city", "operator": 7, "texts": ["qom"]}]},
            ],
            "expiresAfterMs": 9,
            "weight": 2,
        },
        types_pb2.Selector(),
    )
    rule = config_pb2.RoutingRule(name="all", queue="general", requirements=[selector])
    configuration = a_configuration()
    del configuration.rules[:]
    configuration.rules.append(rule)
    world = World(configuration)
    world.customer(a_message())
    assert list(world.enqueued[0].requirements) == [selector]


@pytest.mark.parametrize("kind", [f.name for f in router_pb2.RoutingEvent.DESCRIPTOR.oneofs_by_name["event"].fields])
def test_history_knows_every_kind_of_routing_event(kind: str) -> None:
    """An unknown kind would be missing from the story, and the interaction would keep its old state."""
    event = router_pb2.RoutingEvent(event_id="e", tenant=TENANT, occurred_at_ms=1, epoch=3, reason="R")
    getattr(event, kind).SetInParent()
    if kind == "agent_state_changed":
        assert routed(event.SerializeToString(), 0) is None
        return
    event.interaction.interaction_id, event.interaction.conversation_id = "i", "c"
    fact = routed(event.SerializeToString(), 0)
    assert fact is not None
    assert fact.event.reason == "R"
