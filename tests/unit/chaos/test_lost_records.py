"""A fault that takes records out of a topic excuses what these records asked for, by name, and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chapar.ingest.v1 import records_pb2 as ingest_pb2
from tests.chaos.history.check import violations
from tests.chaos.history.history import MARK, History
from tests.chaos.history.model import Acknowledged, Evidence, LogRecord
from tests.unit.chaos.lives import Life
from tests.unit.chaos.synthetic import a_history

Place = tuple[str, int, int]
Missing = set[tuple[str, str, str]]
"""Invariant, problem, and the kind of thing that is missing."""


def unhandled_message() -> tuple[Evidence, Place, Missing]:
    """Return a history with one more acknowledged message that no lane handled, the place of its record, and what is missing."""
    sound = a_history(Life())
    first = next(record for record in sound.records if record.topic == "inbound.v1")
    message = ingest_pb2.InboundRecord.FromString(first.value or b"")
    message.message.message_id, message.message.text = "unhandled", "hello #cx-999"
    record = first._replace(offset=10_000, value=message.SerializeToString())
    acknowledged = Acknowledged(message.tenant, "webchat", "another", "#cx-999", 0, message.message.received_at_ms)
    clients = replace(sound.clients, acknowledged=(*sound.clients.acknowledged, acknowledged))
    return (
        replace(sound, clients=clients, records=(*sound.records, record)),
        record.place,
        {("I1", "lost", "message"), ("I7", "gap", "message")},
    )


def unsent_reply() -> tuple[Evidence, Place, Missing]:
    """Return a history with one reply that was confirmed and not sent, the place of the request, and what is missing."""
    sound = a_history(Life())
    request = next(record for record in History(sound).requests.values() if "#r" in record.value.request.text)
    (mark,) = MARK.findall(request.value.request.text)
    delivery = History(sound).delivery_of_mark[mark]

    def is_outcome(record: LogRecord) -> bool:
        return (
            record.topic == "deliveries.v1"
            and ingest_pb2.DeliveryRecord.FromString(record.value or b"").delivery_id == delivery
        )

    records = tuple(record for record in sound.records if not is_outcome(record))
    arrivals = tuple(arrival for arrival in sound.clients.arrivals if arrival.mark != mark)
    damaged = replace(sound, clients=replace(sound.clients, arrivals=arrivals), records=records)
    return damaged, request.record.place, {("I1", "lost", "reply"), ("I1", "lost", "delivery")}


def missing_in(evidence: Evidence) -> Missing:
    return {(each.invariant, each.problem, each.subject.partition(" ")[0]) for each in violations(evidence)}


@pytest.mark.parametrize("damaged", [unhandled_message, unsent_reply])
def test_a_lost_record_excuses_what_it_asked_for(
    damaged: Callable[[], tuple[Evidence, Place, Missing]],
) -> None:
    """Without the place of the record, and with the places of all others, the loss is a violation."""
    evidence, place, missing = damaged()

    def found(*lost: Place) -> Missing:
        return missing_in(replace(evidence, lost=frozenset(lost)))

    assert found() == missing
    assert found(*(record.place for record in evidence.records if record.place != place)) == missing
    assert found(place) == set()


def test_a_lost_record_does_not_excuse_that_it_is_handled_twice() -> None:
    """Its message was handled before the fault, and again after it."""
    sound = a_history(Life())
    said = next(record for record in sound.records if record.topic == "conversations.v1")
    lost = frozenset(record.place for record in sound.records if record.topic == "inbound.v1")
    doubled = replace(sound, records=(*sound.records, said._replace(offset=10_000)), lost=lost)
    assert ("I1", "doubled") in {(violation.invariant, violation.problem) for violation in violations(doubled)}


def test_a_lost_reply_does_not_excuse_the_message_that_it_quotes() -> None:
    """An agent's mail carries the mark of the customer's text."""
    evidence, _, missing = unhandled_message()
    first = next(record for record in evidence.records if record.topic == "outbound.v1")
    request = ingest_pb2.OutboundRecord.FromString(first.value or b"")
    request.request.text += " > hello #cx-999"
    quoting = first._replace(value=request.SerializeToString())
    records = tuple(quoting if record is first else record for record in evidence.records)
    assert missing_in(replace(evidence, records=records, lost=frozenset({first.place}))) == missing
