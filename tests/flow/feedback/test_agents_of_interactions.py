"""The survey lane remembers the agents of open interactions, with crashes between."""

import pytest

from chapar.router.v1 import records_pb2 as router
from services.chassis.kafka.outbox import Send
from services.chassis.metrics import Metrics
from services.feedback.lanes.relay import command_of
from services.feedback.metrics import METRICS
from tests.fakes.lane import FakeLane
from tests.fakes.relay import FakeRelay
from tests.flow.feedback.test_survey_lane import a_completed_event, a_survey_lane, records_of

KEY = b"parsa/person-1"


def an_assigned_event(agent_id: str, event_id: str = "") -> router.RoutingEvent:
    event = a_completed_event()
    event.event_id = event_id or f"assigned-{agent_id}"
    event.assigned.agent_id = agent_id
    return event


class Stage:
    """A relay and a survey lane."""

    def __init__(self) -> None:
        self.relay = FakeRelay(command_of, "routing.events.v1")
        self.lane: FakeLane = a_survey_lane(Metrics(METRICS))

    def route(self, event: router.RoutingEvent) -> list[Send]:
        sent: list[Send] = []
        for each in self.relay.handle(event.SerializeToString()):
            sent += self.lane.handle(each.value, key=each.key, headers=each.headers)
        return sent

    @property
    def remembered(self) -> list[bytes]:
        return [key for key in self.lane.changelog if key.startswith(b"h/")]


def agents(sent: list[Send]) -> list[str]:
    return [agent for record in records_of(sent) for agent in record.invited.subject.agent_ids]


def test_all_agents_are_named_in_order_also_after_a_crash() -> None:
    """Assigned to three agents, one of them twice; forgotten at its end."""
    stage = Stage()
    for agent in ("carl", "bob"):
        stage.route(an_assigned_event(agent))
    stage.lane.crash()
    for agent in ("carl", "ada"):
        stage.route(an_assigned_event(agent, f"again-{agent}"))
    assert agents(stage.route(a_completed_event())) == ["bob", "carl", "ada"]
    assert stage.remembered == []


def test_an_interaction_without_assignments_names_the_agent_who_completed_it() -> None:
    stage = Stage()
    assert agents(stage.route(a_completed_event())) == ["ada"]


@pytest.mark.parametrize("end", ["abandoned", "cancelled"])
def test_agents_are_forgotten_after_any_other_end_too(end: str) -> None:
    """The lane keeps open interactions only."""
    stage = Stage()
    stage.route(an_assigned_event("ada"))
    assert len(stage.remembered) == 1
    event = a_completed_event()
    getattr(event, end).SetInParent()
    assert stage.route(event) == []
    assert stage.remembered == []


def test_an_assignment_without_a_person_is_not_relayed() -> None:
    """Only a person can be invited."""
    event = an_assigned_event("ada")
    event.interaction.person_id = ""
    assert FakeRelay(command_of, "routing.events.v1").handle(event.SerializeToString()) == []


def test_another_tenants_assignment_is_refused() -> None:
    """The key of a command names its tenant."""
    stage = Stage()
    (send,) = stage.relay.handle(an_assigned_event("ada").SerializeToString())
    stage.lane.handle(send.value, key=b"acme/person-1")
    assert [why.reason for _, why in stage.lane.dead_letters] == ["TENANT_MISMATCH"]
    assert stage.remembered == []
