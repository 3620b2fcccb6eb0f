"""One partition of a lane on the simulated log: owners that take over, handle, commit and run effects, one step at a time.

The steps of an owner are those of `PartitionLane`: restore and `start`, committed before the first record; then batches, of
which one may be handled while the one before it commits; effects after their commit. Any step may be the last one of its
process. An owner that lost its partition without noticing goes on until its next transaction is refused.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.chassis.kafka.batch import BatchRunner, Replay, Taken
from services.chassis.kafka.changelog import Position
from services.chassis.kafka.contract import (
    NO_METRICS,
    Follower,
    LaneContext,
    LaneSpec,
    LaneTuning,
    Processor,
    ProcessorFactory,
)
from services.chassis.kafka.headers import EVENT_ID
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka.watermark import Followed, Watermark
from tests.fakes.lane import finish
from tests.simulation.mutations import Mutation
from tests.simulation.process import Process
from tests.simulation.world import World, earliest

_MOST_RECORDS: Final = 12
_AHEAD: Final = 2
"""Batches that are handled and not yet durable."""
_IDLE: Final = 200
"""Batches without any effect at one instant; more mean that a timer does not go away."""
_TUNING: Final = LaneTuning()


class Step(NamedTuple):
    """One call of the processor: a batch of these offsets at this clock."""

    now_ms: int
    first_offset: int
    next_offset: int
    followed: Followed


class Batch(NamedTuple):
    """A committed batch, for the invariants. It contains the steps since the last one, which wrote nothing."""

    epoch: int
    now_ms: int
    first_offset: int
    next_offset: int
    steps: tuple[Step, ...]


@dataclass(slots=True)
class Handled:
    """A batch that is not yet durable, and the position after it."""

    taken: Taken
    first_offset: int
    position: Position
    steps: tuple[Step, ...] = ()


class Owner:
    """One ownership: the memory of a process about the partition."""

    def __init__(self, process: Process, position: Position, processor: Processor) -> None:
        self.process = process
        self.run = process.run
        self.position = position
        self.processor = processor
        self.handled: deque[Handled] = deque()
        self.effects: deque[Taken] = deque()
        self.started = False
        self.steps: list[Step] = []
        self.written_offset = position.offset
        self.watermark = Watermark()
        self.absences = process.absences

    @property
    def dead(self) -> bool:
        """Whether its process has lost this memory."""
        return self.process.run != self.run


class SimulatedLane:
    """An actor; see the module."""

    def __init__(
        self,
        world: World,
        spec: LaneSpec,
        partition: int,
        factories: Sequence[tuple[Process, ProcessorFactory]],
        pause_ms: int,
    ) -> None:
        """`factories`: the processes that can own the partition, each with its factory. `pause_ms`: between two fetches."""
        self.world = world
        self.spec = spec
        self.partition = partition
        self.name = f"{spec.name}/{partition}"
        self.input = world.log.partition(spec.input, partition)
        self.changelog: dict[bytes, bytes] = {}
        self.position = Position(0, 0, 0)
        self.batches: list[Batch] = []
        self.written_ids: set[str] = set()
        """Topic and event id of each record that the lane has committed, for folds."""
        self.owner: Owner | None = None
        self._factories = dict(factories)
        self._pause_ms = pause_ms
        self._fetched = 0
        self._fetch_from_ms = 0
        self._former: list[Owner] = []
        self._free_from_ms = 0
        self._epoch = 0
        self._runner = BatchRunner(spec, partition, _TUNING, NO_METRICS, self._dead_letter)
        self._idle_at = (0, 0)
        self._late_position: Position | None = None

    # -- what the monkey does

    def move(self) -> None:
        """Give the partition to another owner; the present one does not notice."""
        if self.owner is not None:
            self.world.reached["a partition moved"] += 1
            self.world.note(self.name, "moves")
            self._former.append(self.owner)
            self.owner = None
            self._free_from_ms = self.world.within(0, 500)
            self.world.scheduler.wake(self)

    # -- Actor

    def step(self) -> bool:
        """Do one step of the owner, or of an earlier one."""
        self._bury()
        former = [each for each in self._former if each.process.running]
        if former and self.world.likely(0.3) and self._go_on(self.world.chance.choice(former)):
            return True
        if self.owner is None:
            if self._take_over():
                return True
        elif self.owner.process.running and self._go_on(self.owner):
            return True
        return any(self._go_on(each) for each in former if each in self._former)

    def wakeup(self) -> int | None:
        """Return when a timer is due, a process goes on, or the partition can be taken over."""
        self._bury()
        times = [self._next(each) for each in self._former]
        if self._fetched < len(self.input) and self._fetch_from_ms > self.world.now_ms:
            times.append(self._fetch_from_ms)
        if self.owner is not None:
            times.append(self._next(self.owner))
        else:
            times.append(max(self._free_from_ms, min(each.running_from_ms for each in self._factories)))
        return earliest(times)

    def _next(self, owner: Owner) -> int | None:
        if not owner.process.running:
            return owner.process.running_from_ms
        due = owner.processor.next_wakeup()
        return None if due is None else owner.process.real(due)

    # -- taking over

    def _bury(self) -> None:
        if self._former:
            self._former = [each for each in self._former if not each.dead]
        if self.owner is not None and self.owner.dead:
            self.owner = None
            self._free_from_ms = self.world.within(200, 8_000)

    def _take_over(self) -> bool:
        free = [each for each in self._factories if each.running]
        if not free or self.world.now_ms < self._free_from_ms:
            return False
        process = self.world.chance.choice(free)
        if self._late_position is not None:
            self._late_position = None  # the owner that should have written it is gone
        self._epoch += 1
        last = self.position
        now_ms = max(last.now_ms, process.clock())
        processor = self._factories[process](LaneContext(self.partition, self._epoch))
        for key, value in self.changelog.items():
            processor.restore(key, value)
        owner = Owner(process, Position(last.offset, now_ms, self._epoch), processor)
        self.owner = owner
        self.world.reached["a partition was taken over"] += self._epoch > 1
        if self.world.lines is not None:
            self.world.note(
                self.name,
                f"{process.owner} takes over: epoch {self._epoch}, offset {last.offset}, {len(self.changelog)} entries",
            )
        try:
            taken = self._runner.start(processor, now_ms, self._epoch)
        except Replay:
            self._lose(owner)
            return True
        owner.handled.append(Handled(taken, last.offset, owner.position))
        return True

    # -- the steps of an owner

    def _go_on(self, owner: Owner) -> bool:
        steps = []
        if owner.effects:
            steps.append(self._run_effects)
        elif owner.handled:
            steps.append(self._commit)
        if owner.started and len(owner.handled) < _AHEAD and self._has_work(owner):
            steps.append(self._handle)
        if not steps:
            return False
        self.world.chance.choice(steps)(owner)
        return True

    def _has_work(self, owner: Owner) -> bool:
        if owner.position.offset < self._fetched:
            return True
        if self._fetched < len(self.input) and self.world.now_ms >= self._fetch_from_ms:
            self._fetched, self._fetch_from_ms = len(self.input), self.world.now_ms + self._pause_ms
            return True
        due = owner.processor.next_wakeup()
        if due is None or due > owner.process.clock():
            return False
        return self._permits(owner, due) or self._waiting(owner) is not None

    def _permits(self, owner: Owner, due_ms: int) -> bool:
        """Return whether a timer may fire: those of a `Follower` wait until everything before its time is handled."""
        if not isinstance(owner.processor, Follower):
            return True
        now_ms, mark = owner.process.clock(), owner.watermark
        if mark.until(now_ms, self._waiting(owner)) < due_ms:
            mark.ask(now_ms)
            mark.offered(len(self.input))
            self._fetched = len(self.input)
        return mark.until(now_ms, self._waiting(owner)) >= due_ms

    def _waiting(self, owner: Owner) -> int | None:
        return owner.position.offset if owner.position.offset < self._fetched else None

    def _handle(self, owner: Owner) -> None:
        world, last = self.world, owner.position
        waiting = self._fetched - last.offset
        many = world.chance.randint(1, min(waiting, _MOST_RECORDS)) if waiting else 0
        records = self.input[last.offset : last.offset + many]
        now_ms = max(last.now_ms, owner.process.clock())
        until_ms = min(now_ms, owner.watermark.until(now_ms, self._waiting(owner)))
        followed = Followed(until_ms, owner.absences != owner.process.absences)
        owner.absences = owner.process.absences
        try:
            taken = finish(self._runner.run(owner.processor, records, now_ms, last.epoch, followed))
        except Replay as replay:
            world.note(self.name, f"batch replayed: {replay}")
            self._lose(owner)
            return
        owner.position = Position(last.offset + many, now_ms, last.epoch, last.batch + 1)
        if records:
            owner.watermark.handled(records[-1].timestamp_ms)
        owner.steps.append(Step(now_ms, last.offset, owner.position.offset, followed))
        if taken.outbox.empty:
            self._note_idle(many)
            return
        owner.handled.append(Handled(taken, last.offset, owner.position, tuple(owner.steps)))
        owner.steps.clear()
        if world.mutated(Mutation.EARLY_EFFECTS):
            for effect in taken.outbox.effects:
                effect()
            taken.outbox.effects.clear()

    def _note_idle(self, records: int) -> None:
        at, times = self._idle_at
        self._idle_at = (self.world.now_ms, times + 1 if at == self.world.now_ms and not records else 0)
        if self._idle_at[1] > _IDLE:
            raise AssertionError(f"{self.name}: a timer stays due after `advance`")

    def _commit(self, owner: Owner) -> None:
        world = self.world
        if owner is not self.owner and not world.mutated(Mutation.NO_FENCING):
            world.reached["an earlier owner was fenced"] += 1
            self._lose(owner)
            return
        if world.goes_wrong(world.faults.commit_lost):
            world.reached["a transaction was lost"] += 1
            self._lose(owner)
            return
        dies = world.goes_wrong(world.faults.dies_at_commit) and world.chance.choice(("before", "after"))
        if dies == "before":
            world.reached["a process died before a commit"] += 1
            owner.process.crash()
            return
        self._make_durable(owner, owner.handled.popleft())
        if dies == "after":
            world.reached["a process died after a commit"] += 1
            owner.process.crash()
        elif world.goes_wrong(world.faults.commit_unknown):
            world.reached["an owner did not learn of its commit"] += 1
            self._lose(owner)

    def _make_durable(self, owner: Owner, handled: Handled) -> None:
        outbox, position = handled.taken.outbox, handled.position
        self.world.log.append_all(outbox.sends, position.now_ms)
        if self.world.folded:
            self.written_ids |= {f"{send.topic} {dict(send.headers)[EVENT_ID].decode()}" for send in outbox.sends}
        for key, value in outbox.changes().items():
            self.changelog.pop(key, None)
            if value is not None:
                self.changelog[key] = value
        if self.world.mutated(Mutation.POSITION_APART):
            self._late_position = position
        else:
            self.position = position
        first = min(handled.first_offset, owner.written_offset)
        self.batches.append(Batch(position.epoch, position.now_ms, first, position.offset, handled.steps))
        owner.written_offset = position.offset
        owner.started = True
        self._runner.forget_before(position.offset)
        owner.effects.append(handled.taken)
        if self.world.lines is not None and outbox.sends:
            sent = ", ".join(f"{send.topic[:-3]}" for send in outbox.sends)
            self.world.note(
                self.name,
                f"commits {first}..{position.offset} of epoch {position.epoch}, {owner.process.owner}: {sent}",
            )

    def _run_effects(self, owner: Owner) -> None:
        world = self.world
        if self._late_position is not None:
            self.position, self._late_position = self._late_position, None
        if world.goes_wrong(world.faults.dies_at_commit):
            world.reached["a process died before its effects"] += 1
            owner.process.crash()
            return
        if owner is not self.owner:
            world.reached["effects ran after a takeover"] += 1
        for effect in owner.effects.popleft().outbox.effects:
            effect()

    def _lose(self, owner: Owner) -> None:
        """Discard this memory: the partition is restored, in any process."""
        self.world.note(self.name, f"{owner.process.owner} loses epoch {owner.position.epoch}")
        if owner is self.owner:
            self.owner = None
            self._free_from_ms = self.world.within(0, 200)
        else:
            self._former.remove(owner)

    def _dead_letter(self, record: Record, verdict: InvalidRecord, lane: str, _now_ms: int) -> bytes:
        self.world.note(lane, f"refuses {record.topic}/{record.partition}/{record.offset}: {verdict}")
        return f"{record.topic}/{record.partition}/{record.offset} {verdict.reason}".encode()
