"""Run one batch again with the live processor and the lane's own `BatchRunner`: this package contains no second copy of a decision."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.batch import BatchRunner, Replay, Taken
from services.chassis.kafka.contract import NO_METRICS, LaneContext, LaneTuning, ProcessorFailed
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka.watermark import Followed
from services.chassis.metrics import Metrics
from services.router.domain.engine import Engine
from services.router.lanes.shard import JOURNAL, SPEC, ShardProcessor
from services.router.lanes.shard_metrics import ShardMetrics
from services.router.metrics import METRICS
from services.router.replay.log import NotComparable
from services.router.replay.state import ShardState


@dataclass(frozen=True, slots=True)
class Rerun:
    """The outcome of one batch: `sends` without the journal's record and without dead letters. `failure` says why it stopped."""

    sends: list[Send] = field(default_factory=list)
    digest: bytes = b""
    effects: int = 0
    failure: str = ""

    def agrees(self, journal: pb.JournalRecord) -> bool:
        """Whether it equals what the journal says, bit for bit."""
        return not self.failure and (self.digest, self.effects) == (journal.effects_sha256, journal.effects)


class Fold:
    """Holds a shard's state, and its changelog as the replay itself has written it (`state`, which each batch updates)."""

    def __init__(self, state: ShardState, feed_partitions: int, skipped: Iterable[int]) -> None:
        self.state = state
        self._feed_partitions = feed_partitions
        self._metrics = ShardMetrics(Metrics(METRICS))
        # The lane retries a bug of the live engine because another attempt may succeed; here one attempt shows all.
        tuning = LaneTuning(attempts=1, step_over=False, skip=frozenset((state.shard, offset) for offset in skipped))
        self._batches = BatchRunner(SPEC, state.shard, tuning, NO_METRICS, _no_dead_letter)
        self._processor = self._resumed() if state.epoch else self._new(0)

    @property
    def engines(self) -> dict[tuple[str, str], Engine]:
        """The engines, by tenant and pool."""
        return self._processor.engines

    async def step(self, journal: pb.JournalRecord, commands: list[Record]) -> Rerun:
        """Run one batch of the journal. Raises NotComparable if a takeover is not journaled."""
        if journal.lane_epoch != self.state.epoch:
            # An owner between the two may have died after its claim: without a transaction, it decided nothing.
            if not commands and journal.lane_epoch > self.state.epoch and not journal.idle_ms:
                return self._take_over(journal)
            self._take_over_nothing(journal)
        for clock_ms, until_ms in idle_clocks(journal):
            between = await self._batch(journal, clock_ms, [], Followed(until_ms))
            if between.failure or between.sends:
                what = between.failure or f"the re-run has {len(between.sends)} effects"
                return Rerun(
                    failure=f"at {clock_ms}, when the original looked at its timers and nothing was due, {what}"
                )
        return await self._batch(journal, journal.now_ms, commands, followed(journal))

    def _new(self, epoch: int) -> ShardProcessor:
        processor = ShardProcessor(LaneContext(self.state.shard, epoch), self._feed_partitions, self._metrics)
        for key, value in self.state.entities.items():
            processor.restore(key, value)
        return processor

    def _resumed(self) -> ShardProcessor:
        """Restore the end of the saved state. Raises NotComparable if this version interprets it differently."""
        mend = "replay with the version that wrote it, or begin from a newer state"
        try:
            processor = self._new(self.state.epoch)
            at_once = processor.resume(self.state.now_ms)
        except (ValueError, LookupError) as error:
            raise NotComparable(f"shard {self.state.shard}: the saved state can't be read ({error}); {mend}") from error
        if at_once:
            raise NotComparable(
                f"shard {self.state.shard}: from the saved state this version would decide {at_once} things at once, and the one that saved "
                f"it did not; {mend}"
            )
        return processor

    def _take_over(self, journal: pb.JournalRecord) -> Rerun:
        """Take over as the next owner did: everything is forgotten, restored from the changelog, and what became due since then is done."""
        try:
            self._processor = self._new(journal.lane_epoch)
            taken = self._batches.start(self._processor, journal.now_ms, journal.lane_epoch)
        except ProcessorFailed as failed:
            return Rerun(failure=f"taking over failed: {failed.__cause__!r}")
        except (ValueError, LookupError) as error:
            return Rerun(failure=f"taking over failed: {error!r}")
        return self._done(journal, taken)

    def _take_over_nothing(self, journal: pb.JournalRecord) -> None:
        """Continue with an owner whose takeover is not journaled: without consequence only where there was nothing to take over."""
        if self.state.entities:
            raise NotComparable(
                f"shard {self.state.shard}: the journal does not say when owner {journal.lane_epoch} took over from owner {self.state.epoch} "
                "(a version before this one wrote it, or records are missing); begin from a later state file (--state)"
            )
        self._processor = self._new(journal.lane_epoch)

    async def _batch(
        self, journal: pb.JournalRecord, clock_ms: int, commands: list[Record], followed: Followed
    ) -> Rerun:
        try:
            taken = await self._batches.run(self._processor, commands, clock_ms, journal.lane_epoch, followed)
        except Replay as refused:
            return Rerun(failure=str(refused))
        except ProcessorFailed as failed:
            where = "timers" if failed.offset is None else f"the command at {failed.offset}"
            return Rerun(failure=f"{where} failed: {failed.__cause__!r}")
        return self._done(journal, taken)

    def _done(self, journal: pb.JournalRecord, taken: Taken) -> Rerun:
        state, outbox = self.state, taken.outbox
        state.apply(outbox.changes())
        state.epoch, state.now_ms = journal.lane_epoch, journal.now_ms
        if taken.next_offset is not None:
            state.position = taken.next_offset
        self._batches.forget_before(state.position)
        sends = [send for send in outbox.sends if not send.verdict]
        if sends and sends[-1].topic == JOURNAL:
            written = pb.JournalRecord.FromString(sends.pop().value)
            return Rerun(sends, written.effects_sha256, written.effects)
        return Rerun(sends, outbox.digest())  # a batch without effects, which is not journaled


def idle_clocks(journal: pb.JournalRecord) -> Iterable[tuple[int, int]]:
    """Return the times at which the owner looked at timers since its previous record, and nothing was due, with the watermark of each. Earlier
    journals do not hold them."""
    return zip(journal.idle_ms, journal.idle_until_ms or journal.idle_ms, strict=False)


def followed(journal: pb.JournalRecord) -> Followed:
    """Return what the owner knew about the log before the batch. Earlier journals hold nothing: their timers fired by the clock."""
    return Followed(journal.until_ms or journal.now_ms, journal.returned)


def _no_dead_letter(record: Record, verdict: InvalidRecord, lane: str, now_ms: int) -> bytes:
    """Return an empty dead letter: dead letters are not effects, and the journal's hash leaves them out."""
    return b""
