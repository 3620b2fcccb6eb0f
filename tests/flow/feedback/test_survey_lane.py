"""The two lanes together, without Kafka: completed events in, records of feedback.answers.v1 out, with crashes between."""

from typing import Any

import pytest

from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.router.v1 import records_pb2 as router
from services.chassis.kafka.outbox import Send
from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.adapters.relay_lane import relay_factory
from services.feedback.adapters.survey_lane import survey_factory
from services.feedback.domain.categories import rule
from services.feedback.domain.counting import Counting
from services.feedback.domain.survey import Kind, Question, Survey
from tests.fakes.lane import FakeLane
from tests.fakes.privacy import MemoryKeys
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
        interaction=router.InteractionFacts(**{**options, **facts}),
    )
    event.completed.agent_id = "ada"
    event.completed.disposition = "solved"
    return event


def relayed(event: router.RoutingEvent) -> list[Send]:
    return FakeLane(relay_factory).handle(event.SerializeToString(), key=b"conversation-1")


def told(sent: list[Send]) -> list[pb.FeedbackRecord]:
    """What the lane said of invitations; what it said of contacts is in test_counting."""
    records = [
        KEYS.opened(pb.FeedbackRecord.FromString(each.value), each.topic, each.key)
        for each in sent
        if each.topic == "feedback.answers.v1"
    ]
    return [record for record in records if record.WhichOneof("record") != "settled"]


def words(sent: list[Send]) -> list[str | None]:
    return [record.WhichOneof("record") for record in told(sent)]


def an_answer(invitation_id: str, score: int = 5, command_id: str = "a1", person: str = "person-1") -> bytes:
    command = pb.FeedbackCommand(command_id=command_id, tenant=TENANT, person_id=person, issued_at_ms=NOW)
    command.answer.invitation_id = invitation_id
    command.answer.score = score
    command.answer.source = pb.ANSWER_SOURCE_REPLY
    return command.SerializeToString()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_a_completed_interaction_is_relayed_under_its_person_with_a_frozen_subject() -> None:
    """Agent, queue, channel, language and labels are those of the completion."""
    (sent,) = relayed(a_completed_event())
    command = pb.FeedbackCommand.FromString(sent.value)
    assert (sent.topic, sent.key) == ("feedback.commands.v1", b"parsa/person-1")
    about = command.consider.subject
    assert (about.agent_id, about.queue, about.channel, about.language) == ("ada", "support", "telegram", "fa")
    assert dict(about.labels) == {"tier": "gold"}
    assert dict(sent.headers)["schema"] == b"chapar.feedback.v1.FeedbackCommand"


def test_the_same_event_relayed_twice_is_the_same_command() -> None:
    """The id derives from the event's."""
    ids = {pb.FeedbackCommand.FromString(relayed(a_completed_event())[0].value).command_id for _ in range(2)}
    assert len(ids) == 1


@pytest.mark.parametrize("missing", ["person_id", "identity_id", "interaction_id"])
def test_nobody_is_asked_who_cannot_be_reached(missing: str) -> None:
    """Without person, identity or interaction there is no command."""
    assert relayed(a_completed_event(**{missing: ""})) == []


def test_other_events_are_not_relayed_and_rubbish_is_set_aside() -> None:
    """An assignment is none of feedback's business; what is no event becomes a dead letter."""
    event = a_completed_event()
    event.assigned.agent_id = "ada"
    lane = FakeLane(relay_factory)
    assert lane.handle(event.SerializeToString()) == []
    lane.handle(b"\xff\xff\xff")
    assert [why.reason for _, why in lane.dead_letters] == ["UNDECODABLE"]


def an_assigned_event(agent_id: str) -> bytes:
    event = a_completed_event()
    event.event_id = f"assigned-{agent_id}"
    event.assigned.agent_id = agent_id
    return event.SerializeToString()


def holders(sent: list[Send]) -> list[str]:
    return list(pb.FeedbackCommand.FromString(sent[-1].value).consider.subject.agent_ids)


def test_everybody_who_held_it_is_named_in_order_also_after_a_crash() -> None:
    """Assigned to three, one of them twice; forgotten with its end."""
    lane = FakeLane(relay_factory)
    for agent in ("carl", "bob"):
        lane.handle(an_assigned_event(agent), key=b"conversation-1")
    lane.crash()
    for agent in ("carl", "ada"):
        lane.handle(an_assigned_event(agent), key=b"conversation-1")
    assert holders(lane.handle(a_completed_event().SerializeToString(), key=b"conversation-1")) == [
        "bob",
        "carl",
        "ada",
    ]
    assert [key for key in lane.changelog if not key.startswith(b"\x00")] == []
    again = a_completed_event()
    again.event_id = "event-2"
    assert holders(lane.handle(again.SerializeToString(), key=b"conversation-1")) == ["ada"]


@pytest.mark.parametrize("end", ["abandoned", "cancelled"])
def test_whoever_held_what_ends_otherwise_is_forgotten_too(end: str) -> None:
    """A lane holds the living only."""
    lane = FakeLane(relay_factory)
    lane.handle(an_assigned_event("ada"), key=b"conversation-1")
    event = a_completed_event()
    getattr(event, end).SetInParent()
    assert lane.handle(event.SerializeToString(), key=b"conversation-1") == []
    assert [key for key in lane.changelog if not key.startswith(b"\x00")] == []


def test_what_it_was_about_and_the_configurations_version_are_frozen_too() -> None:
    """The attributes that its requirements name, of groups as well; the team that the router itself prefers is none."""
    event = a_completed_event()
    event.configuration_version = 42
    requirements = event.interaction.requirements
    requirements.add(attribute="billing")
    group = requirements.add()
    for attribute in ("french", "team", "billing"):
        group.any_of.add(attribute=attribute)
    about = pb.FeedbackCommand.FromString(relayed(event)[0].value).consider.subject
    assert (list(about.skills), about.config_version) == (["billing", "french"], 42)


def test_what_the_agent_closed_as_spam_is_not_asked_about(metrics: Metrics) -> None:
    """The disposition travels as a label."""
    event = a_completed_event()
    event.completed.disposition = "spam"
    sent = a_survey_lane(metrics).handle(relayed(event)[0].value, key=b"parsa/person-1")
    assert [record.skipped.reason for record in told(sent)] == ["NOT_ASKED"]


def test_from_completed_to_counted(metrics: Metrics) -> None:
    """Created, due after its delay, answered once; the repetition refused; metrics say the same."""
    lane = a_survey_lane(metrics, a_survey(delay_ms=HOUR, first_answer_stands=True))
    command = relayed(a_completed_event())[0].value
    created = told(lane.handle(command, key=b"parsa/person-1"))
    assert [record.WhichOneof("record") for record in created] == ["invited"]
    invitation_id = created[0].invited.invitation_id
    assert words(lane.advance(HOUR)) == ["due"]
    counted = lane.handle(an_answer(invitation_id), key=b"parsa/person-1")
    assert words(counted) == ["answered"]
    assert told(counted)[0].answered.subject.agent_id == "ada"
    assert told(counted)[0].answered.day == created[0].invited.day == "2023-11-14"
    assert words(lane.handle(an_answer(invitation_id), key=b"parsa/person-1")) == []
    refused = told(lane.handle(an_answer(invitation_id, 1, "a2"), key=b"parsa/person-1"))
    assert [record.refused.reason for record in refused] == ["ALREADY_ANSWERED"]
    assert metrics.value("chapar_feedback_answers_total", "telegram", "counted") == 1
    assert metrics.value("chapar_feedback_answers_total", "telegram", "repeated") == 1
    assert metrics.value("chapar_feedback_invitations_total", "telegram", "due") == 1


def test_an_amendment_tells_both_answers_with_their_categories_and_under_ids_of_their_own(metrics: Metrics) -> None:
    """What counts now, what counted until now, both of the time of asking; each revision is another event."""
    programme = a_programme(a_survey(more=(Question("why", Kind.TEXT, optional=True),)))
    counting = Counting(categories=(rule("speed", ["slow"]), rule("queueing", ["queue"])))
    programmes = ConfiguredProgrammes({TENANT: TenantSurveys(programme, counting=counting)}.get)
    lane = FakeLane(survey_factory(programmes, metrics, KEYS), now_ms=NOW)
    made = told(lane.handle(relayed(a_completed_event())[0].value, key=b"parsa/person-1"))[0].invited
    first = pb.FeedbackCommand.FromString(an_answer(made.invitation_id, 2, "a1"))
    first.answer.source = pb.ANSWER_SOURCE_PAGE
    first.answer.comment = "slow\u202e"
    first.answer.responses.add(question_id="why", text="queue")
    (counted,) = told(lane.handle(first.SerializeToString(), key=b"parsa/person-1"))
    lane.crash()
    (amended,) = told(lane.handle(an_answer(made.invitation_id, 4, "a2"), key=b"parsa/person-1"))
    assert amended.amended.before == counted.answered
    assert (counted.answered.comment, counted.answered.revision) == ("slow", 1)
    assert list(counted.answered.categories) == ["speed", "queueing"]
    now = amended.amended.answer
    assert (now.score, now.revision, now.asked_at_ms, now.day) == (4, 2, made.send_at_ms, made.day)
    assert [(each.question_id, each.text) for each in now.responses] == [("why", "queue")]
    (again,) = told(lane.handle(an_answer(made.invitation_id, 1, "a3"), key=b"parsa/person-1"))
    assert len({counted.event_id, amended.event_id, again.event_id}) == 3
    assert metrics.value("chapar_feedback_answers_total", "telegram", "amended") == 2


def test_a_reminder_and_a_withdrawal_are_told_with_their_invitation(metrics: Metrics) -> None:
    """So that the dispatcher can send the one, and whoever counted the other can take it out."""
    lane = a_survey_lane(metrics, a_survey(delay_ms=HOUR, remind_after_ms=5 * HOUR))
    lane.handle(relayed(a_completed_event())[0].value, key=b"parsa/person-1")
    later = a_completed_event(interaction_id="interaction-2")
    later.event_id = "event-2"
    sent = told(lane.handle(relayed(later)[0].value, key=b"parsa/person-1"))
    assert [record.WhichOneof("record") for record in sent] == ["withdrawn", "invited"]
    assert (sent[0].withdrawn.reason, sent[0].withdrawn.invitation.subject.interaction_id) == (
        "REPLACED",
        "interaction-1",
    )
    assert words(lane.advance(HOUR)) == ["due"]
    (reminder,) = told(lane.advance(5 * HOUR))
    assert reminder.reminder.invitation.subject.interaction_id == "interaction-2"
    assert metrics.value("chapar_feedback_invitations_total", "telegram", "replaced") == 1
    assert metrics.value("chapar_feedback_invitations_total", "telegram", "reminder") == 1


def test_a_crash_anywhere_changes_no_outcome(metrics: Metrics) -> None:
    """The delay survives, the answer counts once, and event ids are those of the uninterrupted run."""

    def run(crashing: bool) -> list[tuple[str, str | None]]:
        lane = a_survey_lane(Metrics(), a_survey(delay_ms=HOUR, first_answer_stands=True))
        command = lane.record(relayed(a_completed_event())[0].value, key=b"parsa/person-1")
        lane.batch(command, fail="before_commit" if crashing else None)
        if crashing:
            lane.crash()
        lane.advance(HOUR)
        if crashing:
            lane.crash()
        invitation_id = told(lane.sent)[0].invited.invitation_id
        lane.batch(
            lane.record(an_answer(invitation_id), key=b"parsa/person-1"), fail="after_commit" if crashing else None
        )
        lane.handle(an_answer(invitation_id, 2, "a2"), key=b"parsa/person-1")
        return [(record.event_id, record.WhichOneof("record")) for record in told(lane.sent)]

    assert run(crashing=True) == run(crashing=False)
    assert [word for _, word in run(crashing=True)] == ["invited", "due", "answered", "refused"]


def test_the_least_gap_survives_a_crash(metrics: Metrics) -> None:
    """Who was asked is part of the changelog."""
    lane = a_survey_lane(metrics, a_survey(least_gap_ms=24 * HOUR))
    lane.handle(relayed(a_completed_event())[0].value, key=b"parsa/person-1")
    lane.crash()
    other = a_completed_event(interaction_id="interaction-2")
    other.event_id = "event-2"
    sent = lane.handle(relayed(other)[0].value, key=b"parsa/person-1")
    assert [record.skipped.reason for record in told(sent)] == ["TOO_SOON"]


def test_an_answer_to_nothing_is_refused_and_counted(metrics: Metrics) -> None:
    """A forged id meets no invitation."""
    lane = a_survey_lane(metrics)
    sent = told(lane.handle(an_answer("no such thing"), key=b"parsa/person-1"))
    assert [record.refused.reason for record in sent] == ["UNKNOWN_INVITATION"]
    assert metrics.value("chapar_feedback_answers_total", "", "unknown") == 1


def test_memory_and_changelog_are_empty_when_everything_is_over(metrics: Metrics) -> None:
    """Expired, then forgotten: lanes hold the living only."""
    lane = a_survey_lane(metrics, a_survey(least_gap_ms=24 * HOUR))
    lane.handle(relayed(a_completed_event())[0].value, key=b"parsa/person-1")
    assert "expired" in words(lane.advance(72 * HOUR))
    lane.advance(8 * 24 * HOUR)
    assert [key for key in lane.changelog if not key.startswith(b"\x00")] == []


def test_rubbish_among_commands_is_set_aside_and_the_rest_flows(metrics: Metrics) -> None:
    """Bytes that are no command, and a command without a key."""
    lane = a_survey_lane(metrics)
    good = relayed(a_completed_event())[0].value
    sent = lane.batch(
        lane.record(b"\x00\x01rubbish", key=b"parsa/p"),
        lane.record(good, key=None),
        lane.record(good, key=b"parsa/person-1"),
    )
    assert words(sent) == ["invited", "due"]
    assert {why.reason for _, why in lane.dead_letters} == {"UNDECODABLE", "NO_KEY"}
