"""The audit behind `lost 0, doubled 0` must find lost and doubled records, or its zeros mean nothing."""

import pytest

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.kafka.records import Record
from services.cli.demo.ledger import Ledger, Sent, audit


def record(topic: str, value: bytes) -> Record:
    return Record(topic, 0, 0, 0, b"k", value, ())


def customer_says(mark: str) -> Record:
    message = ingest_pb2.ConversationMessage(
        message_id=mark, author_kind=types_pb2.ACTOR_KIND_CUSTOMER, text=f"سلام {mark}"
    )
    return record(
        "conversations.v1", ingest_pb2.ConversationRecord(conversation_id="c", message=message).SerializeToString()
    )


def event(**kind: object) -> Record:
    attributes = router_pb2.InteractionAttributes(interaction_id="i", channel="webchat")
    return record("routing.events.v1", router_pb2.RoutingEvent(interaction=attributes, **kind).SerializeToString())  # type: ignore[arg-type]  # one of many fields


QUEUED = event(queued=router_pb2.InteractionQueued())
ASSIGNED = event(assigned=router_pb2.InteractionAssigned(agent_id="sara"))
STOLEN = event(assigned=router_pb2.InteractionAssigned(agent_id="omid"))
COMPLETED = event(completed=router_pb2.InteractionCompleted(agent_id="sara"))
WHOLE_LIFE = [customer_says("#d1-1"), QUEUED, ASSIGNED, COMPLETED]


def folded(*records: Record) -> Ledger:
    ledger = Ledger()
    ledger.fold(records)
    return ledger


def test_a_complete_interaction_is_clean() -> None:
    """The message is in the conversation once; the interaction ends once and gets one reply."""
    sent = Sent(acknowledged={"#d1-1": "webchat"}, recorded_replies={"#r1-1": "delivery"})
    sent.arrivals["#r1-1"] = 1
    assert audit(folded(*WHOLE_LIFE), sent).clean


@pytest.mark.parametrize(
    ("records", "word"),
    [
        (WHOLE_LIFE[1:], "is in no conversation"),
        (WHOLE_LIFE[:-1], "never ended"),
    ],
)
def test_a_missing_message_or_end_is_lost(records: list[Record], word: str) -> None:
    """An acknowledged message or an end without a record is reported as lost."""
    found = audit(folded(*records), Sent(acknowledged={"#d1-1": "webchat"}))
    assert [word in line for line in found.lost] == [True]
    assert not found.doubled


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        (WHOLE_LIFE[0], "in the conversations 2 times"),
        (COMPLETED, "ended 2 times"),
    ],
)
def test_a_second_message_or_end_is_doubled(extra: Record, word: str) -> None:
    """A message or an end that is recorded twice is reported as doubled."""
    found = audit(folded(*WHOLE_LIFE, extra), Sent(acknowledged={"#d1-1": "webchat"}))
    assert [word in line for line in found.doubled] == [True]
    assert not found.lost


def opened(interaction_id: str, message_id: str) -> Record:
    made = ingest_pb2.InteractionOpened(interaction_id=interaction_id, message_id=message_id)
    return record(
        "conversations.v1",
        ingest_pb2.ConversationRecord(conversation_id="c", interaction_opened=made).SerializeToString(),
    )


def lives(interaction_id: str) -> Record:
    attributes = router_pb2.InteractionAttributes(interaction_id=interaction_id)
    done = router_pb2.InteractionCompleted(agent_id="sara")
    return record(
        "routing.events.v1", router_pb2.RoutingEvent(interaction=attributes, completed=done).SerializeToString()
    )


def test_a_second_opening_is_doubled() -> None:
    """One message opens two interactions, or one interaction is opened twice."""
    both = [opened("i", "m"), opened("j", "m"), lives("i"), lives("j")]
    assert audit(folded(*both), Sent()).doubled == ("message m opened 2 interactions",)
    assert audit(folded(both[0], both[0], both[2]), Sent()).doubled[1:] == ("interaction i was opened 2 times",)


def test_recoveries_are_opened_without_a_message() -> None:
    """Any number of recoveries is clean if each is opened once."""
    assert audit(folded(opened("i", ""), opened("j", ""), lives("i"), lives("j")), Sent()).clean
    assert not audit(folded(opened("i", ""), opened("i", ""), lives("i")), Sent()).clean


def test_a_recovery_that_is_due_and_not_opened_is_lost() -> None:
    """After it is opened it is not lost, in whichever order the topics are read."""
    due = feedback_pb2.FeedbackRecord(recovery_due=feedback_pb2.RecoveryDue(invitation_id="v"))
    told = feedback_pb2.FeedbackRecord(
        recovery_opened=feedback_pb2.RecoveryOpened(invitation_id="v", interaction_id="i")
    )
    before, after = (record("feedback.responses.v1", each.SerializeToString()) for each in (due, told))
    assert audit(folded(before), Sent()).lost == ("the recovery of invitation v was never opened",)
    assert audit(folded(before, after), Sent()).clean


def test_two_holders_at_once_are_seen() -> None:
    """The interaction is assigned while another agent holds it."""
    found = audit(folded(WHOLE_LIFE[0], QUEUED, ASSIGNED, STOLEN, COMPLETED), Sent())
    assert any("two agents" in line for line in found.doubled)


def test_a_reply_without_arrival_is_lost_unless_its_outcome_is_recorded_as_unknown() -> None:
    """An unknown outcome is recorded; a missing record is not accepted."""
    sent = Sent(recorded_replies={"#r1-1": "delivery"})
    assert any("#r1-1" in line for line in audit(folded(*WHOLE_LIFE), sent).lost)
    unknown = ingest_pb2.DeliveryRecord(delivery_id="delivery", state=ingest_pb2.DELIVERY_STATE_UNKNOWN)
    found = audit(folded(*WHOLE_LIFE, record("deliveries.v1", unknown.SerializeToString())), sent)
    assert found.clean
    assert found.unknown_deliveries == 1


def test_a_reply_that_arrives_twice_is_doubled() -> None:
    """The topics do not matter: the customer received it twice."""
    sent = Sent(recorded_replies={"#r1-1": "delivery"})
    sent.arrivals["#r1-1"] = 2
    assert any("2 times" in line for line in audit(folded(*WHOLE_LIFE), sent).doubled)


def machine_says(mark: str, kind: types_pb2.AutomaticKind.ValueType, conversation_id: str = "c") -> Record:
    message = ingest_pb2.ConversationMessage(
        message_id=mark,
        author_kind=types_pb2.ACTOR_KIND_CUSTOMER,
        text=mark,
        automatic=ingest_pb2.Automatic(kind=kind),
    )
    said = ingest_pb2.ConversationRecord(conversation_id=conversation_id, message=message)
    return record("conversations.v1", said.SerializeToString())


def agent_says(mark: str) -> Record:
    message = ingest_pb2.ConversationMessage(message_id="d", author_kind=types_pb2.ACTOR_KIND_AGENT, text=mark)
    said = ingest_pb2.ConversationRecord(conversation_id="c", message=message)
    return record("conversations.v1", said.SerializeToString())


def delivered(reason: str) -> Record:
    failed = ingest_pb2.DELIVERY_STATE_FAILED
    found = ingest_pb2.DeliveryRecord(delivery_id="d", state=failed, reason=reason)
    return record("deliveries.v1", found.SerializeToString())


REPLIED = (*WHOLE_LIFE, agent_says("#r1-1"))


@pytest.mark.parametrize(("address", "wrong"), [("ann", 0), ("bob", 1)])
def test_a_reply_that_reaches_another_customer_is_misdelivered(address: str, wrong: int) -> None:
    """Only those who have written in the conversation may get its replies."""
    sent = Sent(writers={"#d1-1": ("email", "ann")}, receivers={("#r1-1", "email", address)})
    found = audit(folded(*REPLIED), sent)
    assert len(found.misdelivered) == wrong
    assert found.clean is not bool(wrong)


@pytest.mark.parametrize(("reason", "wrong"), [("BOUNCED_5_2_2", 0), ("552", 1)])
def test_a_bounce_is_tied_to_its_delivery(reason: str, wrong: int) -> None:
    """The delivery has failed because of the bounce, and for no other reason."""
    found = audit(folded(*REPLIED, delivered(reason)), Sent(bounces={"#r1-1"}))
    assert len(found.misdelivered) == wrong


AUTO_REPLY = types_pb2.AUTOMATIC_KIND_AUTO_REPLY


@pytest.mark.parametrize(
    ("records", "word"),
    [
        ((machine_says("#d1-2", AUTO_REPLY),), ""),
        ((machine_says("#d1-2", AUTO_REPLY, "another"),), "is not in the conversation"),
        ((machine_says("#d1-2", types_pb2.AUTOMATIC_KIND_UNSPECIFIED),), "was taken for a person's message"),
        ((machine_says("#d1-2", AUTO_REPLY), opened("i", "#d1-2")), "opened an interaction"),
    ],
)
def test_an_automatic_reply_joins_and_opens_nothing(records: tuple[Record, ...], word: str) -> None:
    """It is in the conversation of the reply that it answers, with its kind."""
    found = audit(folded(*REPLIED, *records), Sent(auto_replies={"#d1-2": "#r1-1"}))
    assert [word in line for line in found.misdelivered] == ([True] if word else [])


@pytest.mark.parametrize(("at_ms", "wrong"), [(50, 1), (60, 0)])
def test_an_automatic_reply_touches_no_clock(at_ms: int, wrong: int) -> None:
    """A clock that is set or goes on at the moment of the automatic reply was touched by it."""
    learned = router_pb2.CustomerMessageRecorded(message_id="#d1-2", automatic=AUTO_REPLY)
    clock = sla_pb2.SlaEvent(
        interaction_id="i", kind=sla_pb2.SLA_EVENT_KIND_RESUMED, occurred_at_ms=at_ms
    ).SerializeToString()
    records = (
        machine_says("#d1-2", AUTO_REPLY),
        event(customer_message_recorded=learned, occurred_at_ms=50),
        record("sla.events.v1", clock),
    )
    found = audit(folded(*REPLIED, *records), Sent(auto_replies={"#d1-2": "#r1-1"}))
    assert len(found.misdelivered) == wrong
