"""How the records of a batch are handled at the same time: the number of calls, their order, and failures."""

import asyncio
import time
from collections import Counter

import pytest

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.clock import ManualClock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.consumer import NotNow
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.kafka.records import Record
from services.chassis.metrics import Metrics
from services.feedback.adapters.conversation_batches import ConversationBatches, Waiting, invitations_waiting
from services.feedback.metrics import METRICS
from tests.unit.feedback.builders import NOW, TENANT

Found = tuple[Record, pb.FeedbackRecord, str]


def a_record(number: int, conversation: str = "", occurred_at_ms: int = NOW) -> Found:
    """Return the record of an event, each by default of its own conversation."""
    parsed = pb.FeedbackRecord(event_id=f"e{number}", tenant=TENANT, occurred_at_ms=occurred_at_ms)
    record = Record("feedback.responses.v1", 0, number, occurred_at_ms, b"k", parsed.SerializeToString(), ())
    return record, parsed, conversation or f"conversation-{number}"


class Slow:
    """A service whose calls take `delay_s`, or end when `release` is set. `failing`: what the calls for these events raise."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.release = asyncio.Event()
        self.two_begun = asyncio.Event()
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.most = 0
        self.failing: dict[str, Exception] = {}

    async def call(self, parsed: pb.FeedbackRecord) -> None:
        self.begun.append(parsed.event_id)
        if len(self.begun) == 2:
            self.two_begun.set()
        self.most = max(self.most, len(self.begun) - len(self.ended))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        else:
            await self.release.wait()
        self.ended.append(parsed.event_id)
        if parsed.event_id in self.failing:
            raise self.failing[parsed.event_id]


async def test_calls_are_made_at_the_same_time_and_their_number_is_bounded() -> None:
    """160 calls of 20 ms, 16 at a time, take about 0.2 s; one after another they would take 3.2 s."""
    service = Slow(delay_s=0.02)
    began = time.monotonic()
    await ConversationBatches(service.call, 16).handle(a_record(number) for number in range(160))
    assert time.monotonic() - began < 1.5
    assert service.most == 16
    assert len(service.ended) == 160


async def test_the_records_of_a_conversation_keep_their_order() -> None:
    """The next one begins when the call of the one before has ended; other conversations do not wait for it."""
    service = Slow()
    found = [a_record(1, "a"), a_record(2, "a"), a_record(3, "b"), a_record(4, "a")]
    handling = asyncio.create_task(ConversationBatches(service.call, 8).handle(found))
    await service.two_begun.wait()
    assert service.begun == ["e1", "e3"]
    service.release.set()
    await handling
    assert [event for event in service.begun if event != "e3"] == ["e1", "e2", "e4"]


async def test_equal_conversations_of_two_tenants_do_not_wait_for_each_other() -> None:
    """A conversation's id is the tenant's own."""
    service = Slow()
    first, second = a_record(1, "a"), a_record(2, "a")
    second[1].tenant = "other"
    handling = asyncio.create_task(ConversationBatches(service.call, 8).handle([first, second]))
    await service.two_begun.wait()
    service.release.set()
    await handling


@pytest.mark.parametrize("away", [ChaparError(ErrorKind.UNAVAILABLE, "AWAY", "away"), BrokerUnavailable("away")])
async def test_a_service_that_is_away_gets_no_further_call_and_no_record_is_handled_twice(away: Exception) -> None:
    """Two calls were in flight: the batch comes again, and only what was not handled is called for again."""
    service = Slow(delay_s=0.001)
    service.failing["e1"] = away
    batches = ConversationBatches(service.call, 2)
    found = [a_record(number) for number in range(1, 21)]
    with pytest.raises((NotNow, BrokerUnavailable)):
        await batches.handle(found)
    assert set(service.begun) == {"e1", "e2"}
    service.failing.clear()
    await batches.handle(found)
    assert Counter(service.begun) == {f"e{number}": 2 if number == 1 else 1 for number in range(1, 21)}


async def test_a_record_that_fails_for_good_stops_its_conversation_only() -> None:
    """The consumer then passes each record alone: those that were handled are not handled again."""
    service = Slow(delay_s=0.001)
    service.failing["e1"] = ValueError("a bug")
    batches = ConversationBatches(service.call, 2)
    found = [a_record(1, "a"), a_record(2, "a"), *(a_record(number) for number in range(3, 10))]
    with pytest.raises(ValueError, match="a bug"):
        await batches.handle(found)
    assert "e2" not in service.begun
    for each in found[1:]:
        await batches.handle([each])
    assert Counter(service.begun) == {f"e{number}": 1 for number in range(1, 10)}


async def test_events_of_a_topic_that_was_created_again_are_handled() -> None:
    """They have the offsets of others before them."""
    service = Slow(delay_s=0.001)
    batches = ConversationBatches(service.call, 2)
    record, parsed, conversation = a_record(1)
    await batches.handle([(record, parsed, conversation)])
    later = pb.FeedbackRecord(event_id="later", tenant=TENANT, occurred_at_ms=NOW)
    await batches.handle([(record, later, conversation)])
    assert service.ended == ["e1", "later"]


async def test_the_gauges_show_how_many_wait_and_how_long_the_oldest_has() -> None:
    """Also while the service is away; nothing is shown of partitions that another process owns now."""
    metrics, clock = Metrics(METRICS), ManualClock(NOW)
    waiting = invitations_waiting(metrics, clock)
    service = Slow(delay_s=0.001)
    service.failing["e1"] = ChaparError(ErrorKind.UNAVAILABLE, "AWAY", "away")
    batches = ConversationBatches(service.call, 1, waiting)
    found = [a_record(1, occurred_at_ms=NOW - 60_000), a_record(2, occurred_at_ms=NOW - 1_000)]
    with pytest.raises(NotNow):
        await batches.handle(found)
    clock.advance(5_000)
    assert shown(metrics) == (2, 65.0)
    service.failing.clear()
    await batches.handle(found)
    assert shown(metrics) == (0, 0.0)
    service.failing["e3"] = ChaparError(ErrorKind.UNAVAILABLE, "AWAY", "away")
    with pytest.raises(NotNow):
        await batches.handle([a_record(3)])
    waiting.clear()
    assert shown(metrics) == (0, 0.0)


async def test_a_record_that_is_given_up_does_not_wait() -> None:
    """It becomes a dead letter: an age that grew for ever would be a false alarm."""
    service, waiting = Slow(delay_s=0.001), Waiting()
    service.failing["e1"] = ValueError("a bug")
    batches = ConversationBatches(service.call, 1, waiting)
    with pytest.raises(ValueError, match="a bug"):
        await batches.handle([a_record(1)])
    assert len(waiting) == 0


def shown(metrics: Metrics) -> tuple[float | None, float | None]:
    """Return the number and the age that a scrape shows."""
    return (
        metrics.value("chapar_feedback_invitations_waiting"),
        metrics.value("chapar_feedback_oldest_invitation_seconds"),
    )
