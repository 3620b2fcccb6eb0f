"""The relay and the survey lane together, without Kafka: completed events in, records of feedback.responses.v1 out, with crashes
between."""

from typing import Any

import pytest

from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.router.v1 import records_pb2 as router
from services.chassis.kafka.outbox import Send
from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.lanes.relay import command_of
from services.feedback.lanes.survey import survey_factory
from services.feedback.metrics import METRICS
from services.policy.model.categories import category_rule
from services.policy.model.counting import Counting
from services.policy.model.surveys import Question, Survey, SurveyKind
from tests.fakes.lane import FakeLane
from tests.fakes.privacy import MemoryKeys
from tests.fakes.relay import FakeRelay
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_programme, a_survey

KEYS = MemoryKeys()


def a_survey_lane(metrics: Metrics, *surveys: Survey) -> FakeLane:
    programmes = ConfiguredProgrammes({TENANT: TenantSurveys(a_programme(*surveys))}.get)
    return FakeLane(survey_factory(programmes, metrics, KEYS), now_ms=NOW)


def a_completed_event(**facts: Any) -> router.RoutingEvent:
    options: dict[str, Any] = {
        "interaction_id": "interaction-1",
        "conversation_id": "conversation-1",
        "person_id": "person-1",
        "identity_id": "identity-1",
        "channel": "telegram",
        "queue": "support",
        "language": "fa",
        "labels": {"tier": "gold"},
    }
    event = router.RoutingEvent(
        event_id="event-1",
        tenant=TENANT,
        occurred_at_ms=NOW,
        interaction=router.InteractionAttributes(**{**options, **facts}),
    )
    event.completed.agent_id = "ada"
    event.completed.disposition = "solved"
    return event


def relayed(event: router.RoutingEvent) -> list[Send]:
    return FakeRelay(command_of, "routing.events.v1").handle(event.SerializeToString(), key=b"conversation-1")


def records_of(sent: list[Send]) -> list[pb.FeedbackRecord]:
    """Return the lane's records about invitations; those about contacts are in test_counting."""
    records = [
        KEYS.opened(pb.FeedbackRecord.FromString(each.value), each.topic, each.key)
        for each in sent
        if each.topic == "feedback.responses.v1"
    ]
    return [record for record in records if record.WhichOneof("record") != "settled"]


def words(sent: list[Send]) -> list[str | None]:
    return [record.WhichOneof("record") for record in records_of(sent)]


def a_response(invitation_id: str, score: int = 5, command_id: str = "a1", person: str = "person-1") -> bytes:
    command = pb.FeedbackCommand(command_id=command_id, tenant=TENANT, person_id=person, issued_at_ms=NOW)
    command.response.invitation_id = invitation_id
    command.response.score = score
    command.response.source = pb.RESPONSE_SOURCE_REPLY
    return command.SerializeToString()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(METRICS, tenants=True)


def test_a_completed_interaction_is_relayed_under_its_person_with_a_frozen_subject() -> None:
    """Agent, queue, channel, language and labels are those at the completion."""
    (sent,) = relayed(a_completed_event())
    command = pb.FeedbackCommand.FromString(sent.value)
    assert (sent.topic, sent.key) == ("feedback.commands.v1", b"parsa/person-1")
    about = command.consider.subject
    assert (about.agent_id, about.queue, about.channel, about.language) == ("ada", "support", "telegram", "fa")
    assert dict(about.labels) == {"tier": "gold"}
    assert dict(sent.headers)["schema"] == b"chapar.feedback.v1.FeedbackCommand"


def test_the_same_event_relayed_twice_is_the_same_command() -> None:
    """The command's id derives from the event's id."""
    ids = {pb.FeedbackCommand.FromString(relayed(a_completed_event())[0].value).command_id for _ in range(2)}
    assert len(ids) == 1


@pytest.mark.parametrize("missing", ["person_id", "identity_id", "interaction_id"])
def test_a_person_who_cannot_be_reached_is_not_invited(missing: str) -> None:
    """Without person, identity or interaction there is no command."""
    assert relayed(a_completed_event(**{missing: ""})) == []


def test_other_events_are_not_relayed_and_unreadable_records_are_set_aside() -> None:
    """Surveys need no offers; a value that is not an event becomes a dead letter."""
    event = a_completed_event()
    event.offered.agent_id = "ada"
    relay = FakeRelay(command_of, "routing.events.v1")
    assert relay.handle(event.SerializeToString()) == []
    relay.handle(b"\xff\xff\xff")
    assert [why.reason for _, why in relay.dead_letters] == ["UNDECODABLE"]


def test_required_skills_and_configuration_version_are_frozen_too() -> None:
    """The attributes that its requirements name, including those in groups; the team that the router itself prefers
    is left out."""
    event = a_completed_event()
    event.configuration_version = 42
    requirements = event.interaction.requirements
    requirements.add(attribute="billing")
    group = requirements.add()
    for attribute in ("french", "team", "billing"):
        group.any_of.add(attribute=attribute)
    about = pb.FeedbackCommand.FromString(relayed(event)[0].value).consider.subject
    assert (list(about.skills), about.config_version) == (["billing", "french"], 42)


def test_an_interaction_closed_as_spam_gets_no_invitation(metrics: Metrics) -> None:
    """The disposition is carried as a label."""
    event = a_completed_event()
    event.completed.disposition = "spam"
    sent = a_survey_lane(metrics).handle(relayed(event)[0].value, key=b"parsa/person-1")
    assert [record.skipped.reason for record in records_of(sent)] == ["NOT_ASKED"]


def test_from_completed_to_counted(metrics: Metrics) -> None:
    """Created, due after its delay, answered once; the repetition is refused; the metrics agree."""
    lane = a_survey_lane(metrics, a_survey(delay_ms=HOUR, first_response_counts=True))
    command = relayed(a_completed_event())[0].value
    created = records_of(lane.handle(command, key=b"parsa/person-1"))
    assert [record.WhichOneof("record") for record in created] == ["invited"]
    invitation_id = created[0].invited.invitation_id
    assert words(lane.advance(HOUR)) == ["due"]
    counted = lane.handle(a_response(invitation_id), key=b"parsa/person-1")
    assert words(counted) == ["answered"]
    assert records_of(counted)[0].answered.subject.agent_id == "ada"
    assert records_of(counted)[0].answered.day == created[0].invited.day == "2023-11-14"
    assert words(lane.handle(a_response(invitation_id), key=b"parsa/person-1")) == []
    refused = records_of(lane.handle(a_response(invitation_id, 1, "a2"), key=b"parsa/person-1"))
    assert [record.refused.reason for record in refused] == ["ALREADY_ANSWERED"]
    assert metrics.value("chapar_feedback_responses_total", TENANT, "telegram", "counted") == 1
    assert metrics.value("chapar_feedback_responses_total", TENANT, "telegram", "repeated") == 1
    assert metrics.value("chapar_feedback_invitations_total", TENANT, "telegram", "due") == 1


def test_an_amendment_reports_both_responses_with_categories_and_separate_ids(metrics: Metrics) -> None:
    """The event has the response that counts now and the one that counted before, both under the time of the
    invitation; each revision is a separate event."""
    programme = a_programme(a_survey(more=(Question("why", SurveyKind.TEXT, optional=True),)))
    counting = Counting(categories=(category_rule("speed", ["slow"]), category_rule("queueing", ["queue"])))
    programmes = ConfiguredProgrammes({TENANT: TenantSurveys(programme, counting=counting)}.get)
    lane = FakeLane(survey_factory(programmes, metrics, KEYS), now_ms=NOW)
    made = records_of(lane.handle(relayed(a_completed_event())[0].value, key=b"parsa/person-1"))[0].invited
    first = pb.FeedbackCommand.FromString(a_response(made.invitation_id, 2, "a1"))
    first.response.source = pb.RESPONSE_SOURCE_PAGE
    first.response.comment = "slow\u202e"
    first.response.answers.add(question_id="why", text="queue")
    (counted,) = records_of(lane.handle(first.SerializeToString(), key=b"parsa/person-1"))
    lane.crash()
    (amended,) = records_of(lane.handle(a_response(made.invitation_id, 4, "a2"), key=b"parsa/person-1"))
    assert amended.amended.before == counted.answered
    assert (counted.answered.comment, counted.answered.revision) == ("slow", 1)
    assert list(counted.answered.categories) == ["speed", "queueing"]
    now = amended.amended.response
    assert (now.score, now.revision, now.asked_at_ms, now.day) == (4, 2, made.send_at_ms, made.day)
    assert [(each.question_id, each.text) for each in now.answers] == [("why", "queue")]
    (again,) = records_of(lane.handle(a_response(made.invitation_id, 1, "a3"), key=b"parsa/person-1"))
    assert len({counted.event_id, amended.event_id, again.event_id}) == 3
    assert metrics.value("chapar_feedback_responses_total", TENANT, "telegram", "amended") == 2


def test_a_reminder_and_a_withdrawal_are_reported_with_their_invitation(metrics: Metrics) -> None:
    """The dispatcher needs the first to send it; readers that counted the invitation need the second to subtract it."""
    lane = a_survey_lane(metrics, a_survey(delay_ms=HOUR, remind_after_ms=5 * HOUR))
    lane.handle(relayed(a_completed_event())[0].value, key=b"parsa/person-1")
    later = a_completed_event(interaction_id="interaction-2")
    later.event_id = "event-2"
    sent = records_of(lane.handle(relayed(later)[0].value, key=b"parsa/person-1"))
    assert [record.WhichOneof("record") for record in sent] == ["withdrawn", "invited"]
    assert (sent[0].withdrawn.reason, sent[0].withdrawn.invitation.subject.interaction_id) == (
        "REPLACED",
        "interaction-1",
    )
    assert words(lane.advance(HOUR)) == ["due"]
    (reminder,) = records_of(lane.advance(5 * HOUR))
    assert reminder.reminder.invitation.subject.interaction_id == "interaction-2"
    assert metrics.value("chapar_feedback_invitations_total", TENANT, "telegram", "replaced") == 1
    assert metrics.value("chapar_feedback_invitations_total", TENANT, "telegram", "reminder") == 1


def test_a_crash_anywhere_changes_no_outcome(metrics: Metrics) -> None:
    """The delay survives, the response counts once, and event ids are those of the uninterrupted run."""

    def run(crashing: bool) -> list[tuple[str, str | None]]:
        lane = a_survey_lane(Metrics(METRICS), a_survey(delay_ms=HOUR, first_response_counts=True))
        command = lane.record(relayed(a_completed_event())[0].value, key=b"parsa/person-1")
        lane.batch(command, fail="before_commit" if crashing else None)
        if crashing:
            lane.crash()
        lane.advance(HOUR)
        if crashing:
            lane.crash()
        invitation_id = records_of(lane.sent)[0].invited.invitation_id
        lane.batch(
            lane.record(a_response(invitation_id), key=b"parsa/person-1"), fail="after_commit" if crashing else None
        )
        lane.handle(a_response(invitation_id, 2, "a2"), key=b"parsa/person-1")
        return [(record.event_id, record.WhichOneof("record")) for record in records_of(lane.sent)]

    assert run(crashing=True) == run(crashing=False)
    assert [word for _, word in run(crashing=True)] == ["invited", "due", "answered", "refused"]


def test_the_minimum_gap_survives_a_crash(metrics: Metrics) -> None:
    """The history of invitations is part of the changelog."""
    lane = a_survey_lane(metrics, a_survey(least_gap_ms=24 * HOUR))
    lane.handle(relayed(a_completed_event())[0].value, key=b"parsa/person-1")
    lane.crash()
    other = a_completed_event(interaction_id="interaction-2")
    other.event_id = "event-2"
    sent = lane.handle(relayed(other)[0].value, key=b"parsa/person-1")
    assert [record.skipped.reason for record in records_of(sent)] == ["TOO_SOON"]


def a_queued_event(interaction_id: str, conversation_id: str, at_ms: int) -> router.RoutingEvent:
    event = a_completed_event(interaction_id=interaction_id, conversation_id=conversation_id, arrived_at_ms=at_ms)
    event.event_id, event.occurred_at_ms = f"queued {interaction_id}", at_ms
    event.queued.SetInParent()
    return event


def test_a_survey_does_not_interrupt_a_newer_contact_by_another_channel(metrics: Metrics) -> None:
    """From routing events, with a restart while it is held back: due at one hour, the customer is back and talks until
    two hours. The survey about the newer contact replaces it, and nothing remains of the open interaction."""
    lane = a_survey_lane(metrics, a_survey(delay_ms=HOUR, least_gap_ms=24 * HOUR))
    lane.handle(relayed(a_completed_event(arrived_at_ms=NOW - HOUR))[0].value, key=b"parsa/person-1")
    back = a_queued_event("interaction-2", "conversation-2", NOW + 1000)
    lane.handle(relayed(back)[0].value, key=b"parsa/person-1")
    assert words(lane.advance(2 * HOUR)) == []
    lane.crash()
    later = a_completed_event(
        interaction_id="interaction-2", conversation_id="conversation-2", arrived_at_ms=NOW + 1000
    )
    later.event_id, later.occurred_at_ms = "event-2", NOW + 2 * HOUR
    sent = records_of(lane.handle(relayed(later)[0].value, key=b"parsa/person-1"))
    assert [(record.WhichOneof("record"), record.withdrawn.reason) for record in sent] == [
        ("withdrawn", "REPLACED"),
        ("invited", ""),
    ]
    assert [key for key in lane.changelog if key.startswith(b"u/")] == []
    (due,) = records_of(lane.advance(HOUR))
    assert due.due.invitation.subject.interaction_id == "interaction-2"


def test_an_abandoned_contact_lets_the_survey_go(metrics: Metrics) -> None:
    """The customer is back and leaves again: the survey about the first contact comes its delay after that."""
    lane = a_survey_lane(metrics, a_survey(delay_ms=HOUR))
    lane.handle(relayed(a_completed_event(arrived_at_ms=NOW - HOUR))[0].value, key=b"parsa/person-1")
    lane.handle(relayed(a_queued_event("interaction-2", "conversation-2", NOW + 1000))[0].value, key=b"parsa/person-1")
    assert words(lane.advance(2 * HOUR)) == []
    left = a_completed_event(interaction_id="interaction-2", conversation_id="conversation-2")
    left.event_id, left.occurred_at_ms = "left", NOW + 2 * HOUR
    left.abandoned.SetInParent()
    assert words(lane.handle(relayed(left)[0].value, key=b"parsa/person-1")) == []
    assert words(lane.advance(HOUR)) == ["due"]


def test_a_response_without_an_invitation_is_refused_and_counted(metrics: Metrics) -> None:
    """A forged id matches no invitation."""
    lane = a_survey_lane(metrics)
    sent = records_of(lane.handle(a_response("no such thing"), key=b"parsa/person-1"))
    assert [record.refused.reason for record in sent] == ["UNKNOWN_INVITATION"]
    assert metrics.value("chapar_feedback_responses_total", TENANT, "", "unknown") == 1


def test_memory_and_changelog_are_empty_at_the_end(metrics: Metrics) -> None:
    """Expired, then forgotten: lanes keep only what is still open."""
    lane = a_survey_lane(metrics, a_survey(least_gap_ms=24 * HOUR))
    lane.handle(relayed(a_completed_event())[0].value, key=b"parsa/person-1")
    assert "expired" in words(lane.advance(72 * HOUR))
    lane.advance(8 * 24 * HOUR)
    assert [key for key in lane.changelog if not key.startswith(b"\x00")] == []


def test_unreadable_commands_are_set_aside_and_the_others_are_processed(metrics: Metrics) -> None:
    """Bytes that are not a command, and a command without a key."""
    lane = a_survey_lane(metrics)
    good = relayed(a_completed_event())[0].value
    sent = lane.batch(
        lane.record(b"\x00\x01rubbish", key=b"parsa/p"),
        lane.record(good, key=None),
        lane.record(good, key=b"parsa/person-1"),
    )
    assert words(sent) == ["invited", "due"]
    assert {why.reason for _, why in lane.dead_letters} == {"UNDECODABLE"}
