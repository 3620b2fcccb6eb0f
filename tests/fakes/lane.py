"""A lane without Kafka: drives a `Processor` batch by batch, for flow tests. It passes the transport-independent part of the lane's contract suite.

    lane = FakeLane(factory)                       # factory: LaneContext -> Processor, as for LaneRunner; `start` has run and is committed
    sent = lane.handle(b"value", key=b"k")         # one record, one batch, committed: the records it sent
    sent = lane.batch(lane.record(b"1"), lane.record(b"2"))   # several records in one batch
    sent = lane.advance(5_000)                     # moves the clock; every timer fires at its own time, in a batch of its own
    lane.sent, lane.sent_to("routing.events.v1")   # all committed outputs, as `outbox.Send`
    lane.changelog, lane.dead_letters              # live entries; (record, InvalidRecord) pairs
    lane.processor                                 # the present instance, for looking at
    lane.lose_changelog(), lane.recreate_input(), lane.lose_tail(3)   # then `crash` raises TakeoverRefused, as the real lane refuses
    lane.crash()                                   # memory is lost; a new instance is restored from the changelog, epoch + 1, `start` runs
    lane.batch(r1, r2, fail="before_commit")       # nothing of the batch is committed, no effect runs; crash; the records come again at once
    lane.batch(r1, fail="after_commit")            # committed, but the effects (replies) are lost; crash; the records do not come again

The timers of a `Follower` wait for records that `record` made and that were not handled yet, as in the real lane.

A record that is refused (InvalidRecord, OUTPUT_TOO_LARGE) becomes a dead letter as in the real lane, with the same restore and replay.
A bug in the processor raises ProcessorFailed, after as many attempts as in the real lane.
"""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Literal, TypeVar

from services.chassis.kafka.batch import BatchRunner, Replay, Taken
from services.chassis.kafka.changelog import Position, Restored
from services.chassis.kafka.claims import Claim
from services.chassis.kafka.contract import (
    NO_METRICS,
    Follower,
    LaneContext,
    LaneSpec,
    LaneTuning,
    Processor,
    ProcessorFactory,
)
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import Headers, InvalidRecord, Record
from services.chassis.kafka.watermark import Followed
from services.chassis.kafka.witness import InputState, TakeoverRefused, Witness, last_epoch, loss_of

T = TypeVar("T")
Failure = Literal["before_commit", "after_commit"]


class FakeLane:
    """See the module's docstring. Everything is synchronous; time moves only by `advance`."""

    def __init__(
        self,
        factory: ProcessorFactory,
        *,
        partition: int = 0,
        input_topic: str = "input.v1",
        now_ms: int = 1_700_000_000_000,
        tuning: LaneTuning | None = None,
    ) -> None:
        self.partition = partition
        self.now_ms = now_ms
        self.sent: list[Send] = []
        self.changelog: dict[bytes, bytes] = {}
        self.dead_letters: list[tuple[Record, InvalidRecord]] = []
        self.position = Position(0, 0, 0)
        self.claim: Claim | None = None
        self.witness: Witness | None = None
        """What the group has committed."""
        self._inputs = 1
        self._input_topic = input_topic
        self._factory = factory
        self._refused: list[tuple[Record, InvalidRecord]] = []
        self.behind_ms = 0  # by how much the watermark is behind the clock
        self.returned = False  # whether the next batch learns that the log was out of reach
        self._written: list[int] = []  # when each record was written, by offset
        self._tuning = tuning or LaneTuning()
        self._waiting: list[Record] = []
        self._batches = self._runner()
        self.processor = self._take_over()

    # -- what a test does

    def record(
        self, value: bytes | None, *, key: bytes | None = b"key", headers: Headers = (), topic: str | None = None
    ) -> Record:
        """The next record of the input."""
        offset = len(self._written)
        self._written.append(self.now_ms)
        return Record(topic or self._input_topic, self.partition, offset, self.now_ms, key, value, headers)

    def handle(self, value: bytes | None, *, key: bytes | None = b"key", headers: Headers = ()) -> list[Send]:
        """One record as one committed batch; returns what it sent (dead letters included)."""
        return self.batch(self.record(value, key=key, headers=headers))

    def batch(self, *records: Record, fail: Failure | None = None) -> list[Send]:
        """Several records as one batch; returns what was committed by it. With `fail`, the process dies there."""
        fresh = [record for record in records if record.offset >= self.position.offset]
        self._waiting = fresh
        sent = self._until_done(fresh, fail)
        self._waiting = []
        return sent

    def advance(self, ms: int) -> list[Send]:
        """Move the clock; timers fire at their own times. Returns what they sent."""
        until = self.now_ms + ms
        before = len(self.sent)
        while (due := self.processor.next_wakeup()) is not None and due <= until:
            self.now_ms = max(self.now_ms, due)
            if isinstance(self.processor, Follower) and self.watermark_ms < due:
                break
            self._until_done([], None)
            again = self.processor.next_wakeup()
            if again is not None and again <= due:
                raise AssertionError(f"next_wakeup() is still {again} after advance({self.now_ms})")
        self.now_ms = until
        return self.sent[before:]

    @property
    def watermark_ms(self) -> int:
        """The time up to which everything that was written has been handled."""
        waiting = self._written[self.position.offset :]
        now_ms = self.now_ms - self.behind_ms
        return min(now_ms, waiting[0] - 1) if waiting else now_ms

    def crash(self) -> Processor:
        """Lose the memory, restore. Returns the new instance."""
        self.processor = self._take_over()
        return self.processor

    def lose_changelog(self) -> None:
        """Empty the changelog, as if its topic were deleted and created again."""
        self.changelog.clear()
        self.position, self.claim = Position(0, 0, 0), None

    def recreate_input(self) -> None:
        """Replace the input by an empty topic of the same name. The group's offsets are deleted with it."""
        self._inputs += 1
        self._written.clear()
        self.witness = None

    def lose_tail(self, end: int) -> None:
        """Lose the records of the input from `end` on."""
        del self._written[end:]

    def deliver_again(self) -> list[Send]:
        """After a batch that ended in ProcessorFailed: its records come again, as to the next owner."""
        return self.batch(*self._waiting) if self._waiting else []

    def skip(self, *offsets: int) -> None:
        """As `LaneTuning.skip`: an operator's decision about records of this input; forgets earlier attempts."""
        self._tuning = replace(self._tuning, skip=frozenset((self.partition, offset) for offset in offsets))
        self._batches = self._runner()

    def sent_to(self, topic: str) -> list[Send]:
        """All committed outputs to one topic."""
        return [send for send in self.sent if send.topic == topic]

    # -- how it works

    @property
    def _input_id(self) -> str:
        return f"{self._input_topic}/{self._inputs}"

    def _runner(self) -> BatchRunner:
        spec = LaneSpec("fake", self._input_topic, "fake.state.v1", "fake")
        return BatchRunner(spec, self.partition, self._tuning, NO_METRICS, self._refuse)

    def _take_over(self) -> Processor:
        self._refused.clear()
        last = self.position if self.position.epoch else None
        now = InputState(self._input_id, 0, len(self._written), witness=self.witness)
        found = Restored(self.changelog, last, self.claim)
        epoch = last_epoch(self.claim, last, now) + 1
        if (loss := loss_of(found, now)) is not None:
            self.claim = Claim("", 0, epoch, self.claim.input if self.claim is not None else "", loss.reason)
            raise TakeoverRefused("fake", self.partition, loss.reason, loss.detail)
        self.claim = Claim("fake", 1, epoch, self._input_id)
        self.now_ms = max(self.now_ms, self.position.now_ms)
        self.position = Position(self.position.offset, self.now_ms, epoch)
        while True:
            processor = self._factory(LaneContext(self.partition, self.position.epoch))
            for key, value in list(self.changelog.items()):
                processor.restore(key, value)
            try:
                started = self._batches.start(processor, self.now_ms, self.position.epoch)
            except Replay:
                continue  # raises ProcessorFailed in the end
            self._commit(started)
            return processor

    def _until_done(self, records: list[Record], fail: Failure | None) -> list[Send]:
        while True:
            self._refused.clear()
            try:
                followed, self.returned = Followed(self.watermark_ms, self.returned), False
                taken = finish(self._batches.run(self.processor, records, self.now_ms, self.position.epoch, followed))
            except Replay:
                self.crash()
                continue
            if fail == "before_commit":
                fail = None
                self.crash()
                continue
            before = len(self.sent)
            self._commit(taken, effects=fail is None)
            sent = self.sent[before:]
            if fail == "after_commit":
                self.crash()
            return sent

    def _commit(self, taken: Taken, *, effects: bool = True) -> None:
        offset = self.position.offset if taken.next_offset is None else taken.next_offset
        self.position = Position(offset, self.now_ms, self.position.epoch)
        self.witness = Witness(self._input_id, self.position.epoch, offset)
        self.sent.extend(taken.outbox.sends)
        for key, value in taken.outbox.changes().items():
            self.changelog.pop(key, None)
            if value is not None:
                self.changelog[key] = value
        self.dead_letters.extend(self._refused)
        self._batches.forget_before(offset)
        if effects:
            for effect in taken.outbox.effects:
                effect()

    def _refuse(self, record: Record, verdict: InvalidRecord, lane: str, now_ms: int) -> bytes:
        self._refused.append((record, verdict))
        return f"{record.topic}/{record.partition}/{record.offset}: {verdict.reason}".encode()


def finish(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that only ever yields the loop's turn, without a loop."""
    while True:
        try:
            steps.send(None)
        except StopIteration as done:
            result: T = done.value
            return result
