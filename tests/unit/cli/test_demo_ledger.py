"""The audit behind `lost 0, doubled 0` must see what is lost and what is doubled, or its zeros mean nothing."""

import pytest

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from chapar.router.v1 import records_pb2 as router_pb2
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
    facts = router_pb2.InteractionFacts(interaction_id="i", channel="webchat")
    return record("routing.events.v1", router_pb2.RoutingEvent(interaction=facts, **kind).SerializeToString())  # type: ignore[arg-type]  # one of many fields


QUEUED = event(queued=router_pb2.InteractionQueued())
ASSIGNED = event(assigned=router_pb2.InteractionAssigned(agent_id="sara"))
STOLEN = event(assigned=router_pb2.InteractionAssigned(agent_id="omid"))
COMPLETED = event(completed=router_pb2.InteractionCompleted(agent_id="sara"))
WHOLE_LIFE = [customer_says("#d1-1"), QUEUED, ASSIGNED, COMPLETED]


def folded(*records: Record) -> Ledger:
    ledger = Ledger()
    ledger.fold(records)
    return ledger


def test_a_whole_life_is_clean() -> None:
    """Sent, in the conversation once, ended once, answered once."""
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
def test_what_is_missing_is_lost(records: list[Record], word: str) -> None:
    """An acknowledged message or an end that is not there."""
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
def test_what_is_there_twice_is_doubled(extra: Record, word: str) -> None:
    """A message or an end that is there twice."""
    found = audit(folded(*WHOLE_LIFE, extra), Sent(acknowledged={"#d1-1": "webchat"}))
    assert [word in line for line in found.doubled] == [True]
    assert not found.lost


def test_two_holders_at_once_are_seen() -> None:
    """An assignment while another agent holds it."""
    found = audit(folded(WHOLE_LIFE[0], QUEUED, ASSIGNED, STOLEN, COMPLETED), Sent())
    assert any("two agents" in line for line in found.doubled)


def test_a_reply_without_arrival_is_lost_unless_its_outcome_is_recorded_as_unknown() -> None:
    """Unknown is an honest answer; silence is not."""
    sent = Sent(recorded_replies={"#r1-1": "delivery"})
    assert any("#r1-1" in line for line in audit(folded(*WHOLE_LIFE), sent).lost)
    unknown = ingest_pb2.DeliveryRecord(delivery_id="delivery", state=ingest_pb2.DELIVERY_STATE_UNKNOWN)
    found = audit(folded(*WHOLE_LIFE, record("deliveries.v1", unknown.SerializeToString())), sent)
    assert found.clean
    assert found.unknown_deliveries == 1


def test_a_reply_that_arrives_twice_is_doubled() -> None:
    """Whatever the topics say: the customer saw it twice."""
    sent = Sent(recorded_replies={"#r1-1": "delivery"})
    sent.arrivals["#r1-1"] = 2
    assert any("2 times" in line for line in audit(folded(*WHOLE_LIFE), sent).doubled)
