"""The relay delivers at least once: the survey lane handles each kind of command once, whenever it comes again."""

from collections.abc import Callable

import pytest

from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.router.v1 import records_pb2 as router
from services.chassis.kafka.headers import RELAYED_FROM
from services.chassis.kafka.outbox import Send
from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.lanes.relay import command_of
from services.feedback.lanes.survey import survey_factory
from services.feedback.metrics import METRICS
from tests.fakes.lane import FakeLane
from tests.fakes.relay import FakeRelay
from tests.flow.feedback.test_agents_of_interactions import an_assigned_event
from tests.flow.feedback.test_counting import a_queued_event
from tests.flow.feedback.test_survey_lane import KEYS, a_completed_event
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_programme, a_survey

DAY = 24 * HOUR
RETENTION = 40 * DAY
"""Longer than routing.events.v1 keeps a record, so longer than the relay can repeat it."""


def a_lane() -> FakeLane:
    programme = a_programme(a_survey(delay_ms=HOUR, least_gap_ms=2 * HOUR))
    programmes = ConfiguredProgrammes({TENANT: TenantSurveys(programme)}.get)
    return FakeLane(survey_factory(programmes, Metrics(METRICS), KEYS), now_ms=NOW)


def ended(kind: str) -> router.RoutingEvent:
    event = a_completed_event()
    event.event_id = kind
    getattr(event, kind).SetInParent()
    return event


def spam() -> router.RoutingEvent:
    event = a_completed_event(interaction_id="interaction-spam")
    event.event_id, event.completed.disposition = "spam", "spam"
    return event


EVENTS: dict[str, Callable[[], router.RoutingEvent]] = {
    "queued": lambda: a_queued_event(1),
    "assigned": lambda: an_assigned_event("bob"),
    "completed": a_completed_event,
    "completed as spam": spam,
    "abandoned": lambda: ended("abandoned"),
    "cancelled": lambda: ended("cancelled"),
}


def state(lane: FakeLane) -> dict[bytes, bytes]:
    return dict(lane.changelog)


def relayed(event: router.RoutingEvent) -> Send:
    (sent,) = FakeRelay(command_of, "routing.events.v1").handle(event.SerializeToString())
    return sent


def test_each_kind_of_command_that_the_relay_writes_is_here() -> None:
    """`EVENTS` has a routing event for each."""
    kinds = {pb.FeedbackCommand.FromString(relayed(make()).value).WhichOneof("command") for make in EVENTS.values()}
    assert kinds == {"contact", "assignment", "consider", "interaction_end"}


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("how", ["in a batch", "in two batches", "after a crash", "after the retention"])
def test_a_repeated_command_changes_nothing(kind: str, how: str) -> None:
    """In the same batch, in a later batch, after a restart, and after the time for which the relay can repeat it."""
    send = relayed(EVENTS[kind]())
    once, twice = a_lane(), a_lane()
    for lane in (once, twice):
        first = lane.record(send.value, key=send.key, headers=send.headers)
        again = lane.record(send.value, key=send.key, headers=send.headers)
        if how == "in a batch":
            lane.batch(first, *([again] if lane is twice else []))
        else:
            lane.batch(first)
            if how == "after a crash":
                lane.crash()
            if how == "after the retention":
                lane.advance(RETENTION)
                lane.crash()
            if lane is twice:
                assert lane.batch(again) == []
    assert twice.sent == once.sent
    assert state(twice) == state(once)
    assert twice.dead_letters == []


def test_a_repeated_spam_does_not_withdraw_a_later_invitation() -> None:
    """Without the place of origin it would: its state does not show the lane that it has handled the command."""
    lane, relay = a_lane(), FakeRelay(command_of, "routing.events.v1")
    sends = [relay.handle(event.SerializeToString())[0] for event in (spam(), a_completed_event())]
    for send in (*sends, *sends):
        lane.handle(send.value, key=send.key, headers=send.headers)
    records = [pb.FeedbackRecord.FromString(each.value) for each in lane.sent_to("feedback.responses.v1")]
    assert [record.WhichOneof("record") for record in records] == ["skipped", "invited"]


def test_a_command_that_an_operator_puts_back_is_handled() -> None:
    """A dead letter that is put back names no origin any more."""
    lane = a_lane()
    send = relayed(a_completed_event())
    lane.handle(relayed(spam()).value, key=send.key, headers=send.headers)
    assert lane.handle(send.value, key=send.key, headers=send.headers) == []
    put_back = tuple(header for header in send.headers if header[0] != RELAYED_FROM)
    assert lane.handle(send.value, key=send.key, headers=put_back) != []
