"""Counting in the survey lane: first contacts, categories, recoveries, with crashes between."""

from typing import Any

import pytest

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.router.v1 import records_pb2 as router
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.outbox import Send
from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.adapters.recoveries import RecoveryDispatcher
from services.feedback.adapters.webhook_responses import notices
from services.feedback.domain.recovery import Opened
from services.feedback.lanes.survey import survey_factory
from services.feedback.metrics import METRICS
from services.feedback.ports import Recovery
from services.feedback.translate import kept
from services.policy.findings import Findings
from services.policy.model.webhooks import Endpoint
from services.policy.reading.counting import read_counting
from tests.fakes.lane import FakeLane
from tests.fakes.privacy import MemoryKeys
from tests.flow.feedback.test_survey_lane import a_completed_event, a_response
from tests.flow.feedback.test_survey_lane import relayed as sends
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_programme

DAY = 24 * HOUR
KEY = b"parsa/person-1"
KEYS = MemoryKeys()


def a_tenant(**fields: Any) -> config.TenantConfiguration:
    rule = config.RecoveryRule(
        name="bad",
        at_most=2,
        queue="call-back",
        priority=9,
        requirements=[types_pb2.Selector(attribute="calm", number=5)],
    )
    return config.TenantConfiguration(**{"tenant": TENANT, "recoveries": [rule], **fields})


def a_lane(metrics: Metrics | None = None, **fields: Any) -> FakeLane:
    known = TenantSurveys(a_programme(), counting=read_counting(a_tenant(**fields), Findings()))
    return FakeLane(
        survey_factory(ConfiguredProgrammes({TENANT: known}.get), metrics or Metrics(METRICS), KEYS), now_ms=NOW
    )


def records_of(sent: list[Send], which: str) -> list[pb.FeedbackRecord]:
    records = [
        KEYS.opened(pb.FeedbackRecord.FromString(each.value), each.topic, each.key)
        for each in sent
        if each.topic == "feedback.responses.v1"
    ]
    return [record for record in records if record.WhichOneof("record") == which]


def a_queued_event(number: int, at_ms: int = NOW, **facts: Any) -> router.RoutingEvent:
    event = a_completed_event(interaction_id=f"interaction-{number}", arrived_at_ms=at_ms, **facts)
    event.event_id, event.occurred_at_ms = f"queued-{number}", at_ms
    event.queued.position = 1
    return event


def relayed(event: router.RoutingEvent) -> bytes:
    (sent,) = sends(event)
    return bytes(sent.value or b"")


def completed(number: int, disposition: str = "solved") -> bytes:
    event = a_completed_event(interaction_id=f"interaction-{number}")
    event.event_id, event.completed.disposition = f"completed-{number}", disposition
    return relayed(event)


def left(number: int) -> bytes:
    event = a_completed_event(interaction_id=f"interaction-{number}")
    event.event_id = f"left-{number}"
    event.abandoned.SetInParent()
    return relayed(event)


# First contacts


def test_without_another_contact_the_first_one_was_resolved_by_its_agent() -> None:
    """The result is reported when the window has passed, once, also after a crash, on the day of the contact; memory
    is empty afterwards."""
    lane = a_lane()
    lane.handle(relayed(a_queued_event(1)), key=KEY)
    lane.handle(completed(1), key=KEY)
    lane.crash()
    (record,) = records_of(lane.advance(7 * DAY), "settled")
    assert record.settled.resolved
    assert (record.settled.first_at_ms, record.settled.day) == (NOW, "2023-11-14")
    assert (record.settled.subject.agent_id, record.settled.subject.queue) == ("ada", "support")
    assert records_of(lane.advance(8 * DAY), "settled") == []
    assert not [key for key in lane.changelog if key.startswith(b"f/")]


def test_another_contact_on_the_topic_means_not_resolved_and_is_not_a_first_contact() -> None:
    """The end of the second contact settles the first; the third contact and the end of the window report nothing more."""
    metrics = Metrics(METRICS)
    lane = a_lane(metrics)
    lane.handle(relayed(a_queued_event(1)), key=KEY)
    assert records_of(lane.handle(relayed(a_queued_event(2, NOW + DAY)), key=KEY), "settled") == []
    lane.crash()
    (record,) = records_of(lane.handle(completed(2), key=KEY), "settled")
    assert not record.settled.resolved
    assert record.settled.subject.interaction_id == "interaction-1"
    assert records_of(lane.handle(relayed(a_queued_event(3, NOW + 6 * DAY)), key=KEY), "settled") == []
    assert records_of(lane.advance(30 * DAY), "settled") == []
    assert metrics.value("chapar_feedback_first_contacts_total", "again") == 1


def test_another_topic_another_window_and_the_same_interaction_are_not_repeat_contacts() -> None:
    """The queue is the topic; a contact after the window begins a new thread; an interaction that is queued again or
    moved is the same contact."""
    lane = a_lane()
    lane.handle(relayed(a_queued_event(1)), key=KEY)
    assert records_of(lane.handle(relayed(a_queued_event(1, queue="billing")), key=KEY), "settled") == []
    assert records_of(lane.handle(relayed(a_queued_event(2, NOW + DAY, queue="billing")), key=KEY), "settled") == []
    assert [record.settled.resolved for record in records_of(lane.advance(7 * DAY), "settled")] == [True]
    assert records_of(lane.handle(relayed(a_queued_event(3, NOW + 7 * DAY)), key=KEY), "settled") == []


def test_the_window_is_the_tenants() -> None:
    """The window of this tenant is one hour."""
    lane = a_lane(first_contact_window_ms=HOUR)
    lane.handle(relayed(a_queued_event(1)), key=KEY)
    assert [record.settled.resolved for record in records_of(lane.advance(HOUR), "settled")] == [True]


@pytest.mark.parametrize("labels", [{"spam": "true"}, {"recovery": "true"}])
def test_an_interaction_that_the_customer_did_not_begin_is_not_a_contact(labels: dict[str, str]) -> None:
    """Spam, and a recovery that Chapar opened itself."""
    lane = a_lane()
    lane.handle(relayed(a_queued_event(1)), key=KEY)
    assert records_of(lane.handle(relayed(a_queued_event(2, labels=labels)), key=KEY), "settled") == []
    assert [record.settled.resolved for record in records_of(lane.advance(7 * DAY), "settled")] == [True]


@pytest.mark.parametrize("disposition", ["spam", "no_further_work", "junk", "thanks"])
def test_a_contact_that_its_agent_says_was_none_leaves_the_first_one_resolved(disposition: str) -> None:
    """D10 and D12: decided at the end, because it is not known when the message is queued. Two dispositions have these
    meanings for everyone; the others are the tenant's."""
    own = [config.Disposition(name="junk", spam=True), config.Disposition(name="thanks", no_further_work=True)]
    lane = a_lane(dispositions=own)
    lane.handle(relayed(a_queued_event(1)), key=KEY)
    lane.handle(completed(1), key=KEY)
    lane.handle(relayed(a_queued_event(2, NOW + DAY)), key=KEY)
    lane.crash()
    sent = lane.handle(completed(2, disposition), key=KEY)
    assert records_of(sent, "settled") == []
    assert records_of(sent, "invited") == []
    (skipped,) = records_of(sent, "skipped")
    assert skipped.skipped.reason in {"NOT_ASKED", "NO_FURTHER_WORK"}
    assert [record.settled.resolved for record in records_of(lane.advance(7 * DAY), "settled")] == [True]


def test_a_first_contact_that_was_spam_is_not_counted_at_all() -> None:
    """Neither as resolved nor as not resolved."""
    lane = a_lane()
    lane.handle(relayed(a_queued_event(1)), key=KEY)
    lane.handle(completed(1, "spam"), key=KEY)
    assert records_of(lane.advance(30 * DAY), "settled") == []
    assert not [key for key in lane.changelog if key.startswith(b"f/")]


def test_a_further_contact_counts_when_it_is_abandoned_and_when_the_window_passes() -> None:
    """The customer came back and gave up; and an e-mail without an answer so far."""
    for ends in (True, False):
        lane = a_lane()
        lane.handle(relayed(a_queued_event(1)), key=KEY)
        lane.handle(relayed(a_queued_event(2, NOW + DAY)), key=KEY)
        found = records_of(lane.handle(left(2), key=KEY) if ends else lane.advance(7 * DAY), "settled")
        assert [record.settled.resolved for record in found] == [False]


# Categories


def answered(lane: FakeLane, score: int, comment: str = "", command_id: str = "a1") -> list[Send]:
    """Complete one interaction, send its invitation and answer it."""
    lane.handle(completed(1), key=KEY)
    (invited,) = records_of(lane.sent, "invited")
    command = pb.FeedbackCommand.FromString(a_response(invited.invited.invitation_id, score, command_id))
    command.response.comment = comment
    return lane.handle(command.SerializeToString(), key=KEY)


def test_a_counted_response_has_its_categories() -> None:
    """By the built-in words, or by the tenant's rules if it has any."""
    (record,) = records_of(answered(a_lane(), 3, "خیلی معطل شدم، لطفاً پیگیری کنید"), "answered")
    assert list(record.answered.categories) == ["complaint", "request"]
    rule = config.CategoryRule(name="delivery", words={"fa": config.CategoryWords(any=["پیک"])})
    (record,) = records_of(answered(a_lane(categories=[rule]), 3, "پيك دیر آمد"), "answered")
    assert list(record.answered.categories) == ["delivery"]


# Recoveries


def test_a_bad_response_opens_one_recovery_and_a_good_one_none() -> None:
    """Queue, priority and requirements are the rule's; a crash before the commit and repetitions open no second
    recovery."""
    assert records_of(answered(a_lane(), 3), "recovery_due") == []
    lane = a_lane()
    (record,) = records_of(answered(lane, 2), "recovery_due")
    due = record.recovery_due
    assert (due.rule, due.queue, due.priority, due.score) == ("bad", "call-back", 9, 2)
    assert [each.attribute for each in due.requirements] == ["calm"]
    assert due.subject.conversation_id == "conversation-1"
    lane.crash()
    assert records_of(answered(lane, 1, command_id="a2"), "recovery_due") == []
    assert [key for key in lane.changelog if key.startswith(b"r/")]
    lane.advance(91 * DAY)
    assert not [key for key in lane.changelog if key.startswith(b"r/")]


@pytest.mark.parametrize(
    ("rule", "opens"),
    [
        ({"surveys": ["other"]}, False),
        ({"queues": ["support"]}, True),
        ({"queues": ["billing"]}, False),
        ({"kind": config.SURVEY_KIND_NPS}, False),
        ({"kind": config.SURVEY_KIND_CSAT}, True),
        ({"at_most": 1}, False),
    ],
)
def test_a_rule_matches_by_survey_queue_kind_and_score(rule: dict[str, Any], opens: bool) -> None:
    """An empty field matches any; the score is that of the question of the rule's kind."""
    options: dict[str, Any] = {"name": "r", "at_most": 2, "queue": "call-back", **rule}
    lane = a_lane(recoveries=[config.RecoveryRule(**options)])
    assert bool(records_of(answered(lane, 2), "recovery_due")) is opens


class OpenerStandIn:
    """Opens recoveries, or refuses them if the test says so."""

    def __init__(self, *errors: ChaparError) -> None:
        self.asked: list[Recovery] = []
        self._errors = list(errors)

    async def open(self, recovery: Recovery) -> str:
        if self._errors:
            raise self._errors.pop(0)
        self.asked.append(recovery)
        return f"opened-{recovery.invitation_id}"


class CommandsStandIn:
    def __init__(self) -> None:
        self.published: list[pb.FeedbackCommand] = []

    async def publish(self, command: pb.FeedbackCommand, *, proven: bool = True) -> None:
        self.published.append(command)


async def test_a_recovery_opens_once_although_every_step_is_repeated() -> None:
    """A recovery is due, opened at ingest under the invitation's id, noted, and reported once as opened with the
    contact that was rated."""
    lane, opener, commands = a_lane(), OpenerStandIn(), CommandsStandIn()
    (record,) = records_of(answered(lane, 1), "recovery_due")
    dispatcher = RecoveryDispatcher(opener, commands, lambda: NOW)
    assert [await dispatcher.dispatch(record) for _ in range(2)] == ["opened", "opened"]
    assert {each.invitation_id for each in opener.asked} == {record.recovery_due.invitation_id}
    asked = opener.asked[0]
    assert (asked.queue, asked.conversation_id, asked.identity_id) == ("call-back", "conversation-1", "identity-1")
    assert (asked.labels["recovery"], asked.labels["about"]) == ("true", "interaction-1")
    assert asked.reason == "recovery:bad"
    sent = [send for each in commands.published for send in lane.handle(each.SerializeToString(), key=KEY)]
    (opened,) = records_of(sent, "recovery_opened")
    assert opened.recovery_opened.interaction_id == f"opened-{asked.invitation_id}"
    assert opened.recovery_opened.subject.interaction_id == "interaction-1"


@pytest.mark.parametrize("known", [True, False])
def test_a_recovery_that_was_reported_before_a_restore_is_not_reported_again(known: bool) -> None:
    """The changelog says whether the recovery was reported."""
    lane = a_lane()
    lane.changelog[b"r/v"] = kept.encode(Opened("v", NOW + DAY, reported=known))
    lane.crash()
    command = pb.FeedbackCommand(command_id="c", tenant=TENANT, person_id="person-1", issued_at_ms=NOW)
    command.recovery.invitation_id, command.recovery.interaction_id = "v", "interaction-2"
    sent = lane.handle(command.SerializeToString(), key=KEY)
    assert len(records_of(sent, "recovery_opened")) == (0 if known else 1)


async def test_a_refusal_is_final_and_an_outage_is_not() -> None:
    """Ingest's refusal of the request is final; an outage of ingest and a fault of this service's key are not."""
    (record,) = records_of(answered(a_lane(), 1), "recovery_due")
    errors = [ChaparError(kind, "X", "x") for kind in (ErrorKind.UNAVAILABLE, ErrorKind.PERMISSION_DENIED)]
    dispatcher = RecoveryDispatcher(
        OpenerStandIn(*errors, ChaparError(ErrorKind.INVALID, "X", "x")), CommandsStandIn(), lambda: NOW
    )
    for _ in errors:
        with pytest.raises(ChaparError):
            await dispatcher.dispatch(record)
    assert await dispatcher.dispatch(record) == "refused"


# Webhooks


def test_a_webhook_gets_subscribed_events_and_categories_that_name_it_without_texts() -> None:
    """The notice has ids, scores and categories; the customer's text only if the webhook subscribes to it; a
    repetition has the same id."""
    rules = [config.CategoryRule(name="delivery", words={"fa": config.CategoryWords(any=["پیک"])}, webhooks=["shop"])]
    how = read_counting(a_tenant(categories=rules), Findings())
    (record,) = records_of(answered(a_lane(categories=rules), 1, "پیک نیامد"), "answered")
    hooks = {
        "all": Endpoint("all", "https://a.example", (), frozenset({"feedback.answered"})),
        "none": Endpoint("none", "https://n.example", (), frozenset({"sla.breached"})),
        "shop": Endpoint("shop", "https://s.example", ()),
        "words": Endpoint("words", "https://w.example", (), frozenset({"feedback.answered.text"})),
    }
    found = {notice.webhook: notice for notice in notices(record, hooks, how)}
    assert set(found) == {"all", "shop", "words"}
    assert len({notice.message_id for notice in found.values()}) == 3
    assert notices(record, hooks, how)[0].message_id == found["all"].message_id
    assert "پیک نیامد".encode() not in found["all"].body + found["shop"].body
    assert "پیک نیامد".encode() in found["words"].body
    assert b'"categories":["delivery"]' in found["shop"].body
    assert b'"score":1' in found["all"].body
