"""The fake lane keeps the contract."""

from contextlib import suppress

import pytest

from services.chassis.kafka.contract import LaneContext, LaneTuning, Outbox, ProcessorFailed
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import Headers, InvalidRecord
from services.chassis.kafka.witness import TakeoverRefused
from tests.contract.lane.ledger import LIMIT, Ledger
from tests.contract.lane.suite import LaneContract
from tests.fakes.lane import FakeLane


class FakeHarness:
    def __init__(self) -> None:
        self.replies: list[str] = []
        self._lane = FakeLane(self._build, tuning=LaneTuning(max_output_bytes=LIMIT))

    def _build(self, context: LaneContext) -> Ledger:
        return Ledger(context, self.replies.append)

    async def feed(self, *commands: str, headers: Headers = ()) -> None:
        pairs = [command.split("=") for command in commands]
        self._lane.batch(*[self._lane.record(v.encode(), key=k.encode(), headers=headers) for k, v in pairs])

    async def restart(self, *, clock_back_ms: int = 0, skip: tuple[int, ...] = ()) -> None:
        self._lane.now_ms -= clock_back_ms
        if skip:
            self._lane.skip(*skip)
        self._lane.crash()
        self._lane.deliver_again()

    async def lose_changelog(self) -> None:
        self._lane.lose_changelog()

    async def recreate_input(self) -> None:
        self._lane.recreate_input()

    async def lose_tail(self) -> None:
        self._lane.lose_tail(self._lane.position.offset - 1)

    async def grow(self, records: int) -> None:
        for _ in range(records):
            self._lane.record(b"add", key=b"new")

    async def refusal(self) -> str:
        with pytest.raises(TakeoverRefused) as refused:
            self._lane.crash()
        return refused.value.reason

    async def pass_time(self, ms: int) -> None:
        self._lane.advance(ms)

    async def outputs(self) -> list[tuple[str, str, Headers]]:
        return [_plain(send) for send in self._lane.sent if not send.verdict and send.key != b"start"]

    async def starts(self) -> list[str]:
        return [send.value.decode() for send in self._lane.sent if send.key == b"start"]

    async def dead_letters(self) -> list[tuple[int, str]]:
        return [(record.offset, verdict.reason) for record, verdict in self._lane.dead_letters]

    def ledger(self) -> Ledger:
        assert isinstance(self._lane.processor, Ledger)
        return self._lane.processor


def _plain(send: Send) -> tuple[str, str, Headers]:
    return send.key.decode(), send.value.decode(), send.headers


@pytest.fixture
def lane() -> FakeHarness:
    return FakeHarness()


class TestFakeLane(LaneContract):
    """The contract suite for the fake lane; see `suite`."""


def test_dying_before_the_commit_repeats_the_batch_and_replies_once() -> None:
    """With `fail="before_commit"` the first attempt leaves no output; the records are delivered again."""
    replies: list[str] = []
    lane = FakeLane(lambda context: Ledger(context, replies.append))
    sent = lane.batch(lane.record(b"add", key=b"a"), fail="before_commit")
    assert [send.value for send in sent] == [b"count 1"]
    assert replies == ["a=1"]
    assert lane.position.epoch == 2


def test_dying_after_the_commit_loses_the_reply_only() -> None:
    """With `fail="after_commit"` the outputs exist, the effects do not run, and the records are not delivered again."""
    replies: list[str] = []
    lane = FakeLane(lambda context: Ledger(context, replies.append))
    record = lane.record(b"add", key=b"a")
    assert len(lane.batch(record, fail="after_commit")) == 1
    assert lane.batch(record) == []
    assert replies == []
    assert isinstance(lane.processor, Ledger)
    assert lane.processor.counts == {b"a": 1}


class HidesAtTheEnd(Ledger):
    """Sends an oversized output when no record is the cause, and swallows the exception."""

    def end(self, outbox: Outbox) -> None:
        with suppress(InvalidRecord):
            outbox.send("journal.v1", b"k", b"x" * LIMIT)


def test_an_oversized_output_that_no_record_caused_is_a_bug() -> None:
    """No input is turned into a dead letter for it."""
    lane = FakeLane(lambda context: HidesAtTheEnd(context, lambda _: None), tuning=LaneTuning(max_output_bytes=LIMIT))
    with pytest.raises(ProcessorFailed, match="start, begin, advance or end failed 3 times"):
        lane.handle(b"add")
    assert lane.dead_letters == []
