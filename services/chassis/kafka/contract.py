"""The contract between a service and a lane. Import these names from `services.chassis.kafka.lane`.

A **lane** is one input partition with one owner. Per batch, ONE transaction contains the outputs, the changelog and the input position.

The rules of a `Processor`:

1. Only its lane calls it, never concurrently, and it is synchronous. It does no I/O and reads no clock: `now_ms` is given.
2. Its whole state can be rebuilt from the entries that it `put` into the changelog. Any other state is lost at the next takeover.
3. It runs ahead of the log: a batch may be handled while the batch before it is still committing. If that commit fails, the instance is
   discarded and a new one is restored. So nothing may leave the process except through the outbox; replies go into `after_commit`.
4. `handle` raises `InvalidRecord` for a record that can never be processed, best before it changes anything. The record's writes to the
   outbox are rolled back; if there were any, the instance is also discarded and restored, and the batch is replayed without that record.
5. Any other exception is a bug. The batch is aborted, the lane restored and the record tried again, `LaneTuning.attempts` times in total;
   then the record becomes a dead letter (`PROCESSOR_FAILED`), as if it had never been handled, and the others continue. An exception that
   no record caused (in `start`, `begin`, `advance` or `end`) makes `LaneRunner.run` raise `ProcessorFailed`, and the process should end.
6. One output record larger than `LaneTuning.max_output_bytes` makes the input that caused it a dead letter (`OUTPUT_TOO_LARGE`); the
   instance is discarded and restored, and the batch is replayed without that record. (From `start`, `advance` or `end`, which no record
   caused, it is a bug.)
7. `Away` is raised when a dependency of a record (a key) is not available now. The batch is aborted, and the lane takes over again after a
   pause. The record is not at fault, however often that happens.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from services.chassis.kafka.changelog_formats import ONE_FORMAT, Formats
from services.chassis.kafka.deadletters import DEAD_LETTERS
from services.chassis.kafka.records import Headers, InvalidRecord, Record
from services.chassis.kafka.watermark import Followed


class Outbox(Protocol):
    """The writes of one batch: all of them in the batch's transaction, or none."""

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers = (), partition: int | None = None) -> None:
        """Append a record. `topic` is the logical name; without `partition`, murmur2 of the key chooses, like Kafka's default partitioner."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set an entry of this lane's changelog. Keys that begin with a zero byte belong to the lane itself: ValueError."""

    def delete(self, key: bytes) -> None:
        """Remove an entry of this lane's changelog (a tombstone)."""

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Run `effect` once the transaction is durable, in order of registration; never if it aborts. It must not block or raise."""

    def digest(self) -> bytes:
        """Return the SHA-256 over topic, partition (or none), key and value of all sends so far in this batch, for journals."""


class Processor(Protocol):
    """Makes the decisions of one partition, for as long as this process owns it."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Take one live changelog entry; all entries come before any other call, each key once, ordered by last write."""

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """Called once, after the restore. May write (mark attempts as unknown). Committed before the first record is handled."""

    def begin(self, now_ms: int) -> None:
        """Called before each batch (also a batch of timers only). `now_ms` never goes backwards, not even across owners."""

    def handle(self, record: Record, outbox: Outbox) -> None:
        """Handle one record, at the batch's `now_ms`. Raises InvalidRecord for a record that can never be processed."""

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """Called when `next_wakeup()` is due, after `begin` and before the batch's records."""

    def end(self, outbox: Outbox) -> None:
        """Called after the last record of a batch: the place to write a journal."""

    def next_wakeup(self) -> int | None:
        """Return when `advance` should be called next, ms since the epoch; None: not before another record."""


@runtime_checkable
class Follower(Protocol):
    """A processor whose timers depend on what did not come. Its timers wait until the lane has handled what was in the input before they were
    due: `advance` is called when `next_wakeup()` is due and the watermark has reached it."""

    def follow(self, followed: Followed) -> None:
        """Called after `begin`, before timers and records: timers may fire up to `followed.until_ms`, the lane's watermark."""


def _first_format() -> int:
    return 1


@dataclass(frozen=True, slots=True)
class LaneContext:
    """Passed to the factory. `epoch` counts the ownerships of this partition: it is unique for each, and increases."""

    partition: int
    epoch: int
    format: Callable[[], int] = _first_format
    """Returns the format in which entries are to be written now (`changelog_formats`). Ask for each entry: an operator may finalise another one."""


ProcessorFactory = Callable[[LaneContext], Processor]

DeadLetterEncoder = Callable[[Record, InvalidRecord, str, int], bytes]
"""(record, reason, name of the lane, now_ms) -> the value of a record on deadletters.v1."""


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """A lane's name, group and topics. Topics are logical names.

    `changelog` needs at least as many partitions as `input` and is compacted; a lane without state needs one too, for its
    position. The default is `{name}.state.v1`.
    """

    name: str
    input: str
    changelog: str | None
    group: str
    formats: Formats = ONE_FORMAT
    """The formats of the changelog's entries that this program reads and writes."""

    @property
    def changelog_topic(self) -> str:
        """The changelog's logical name."""
        return self.changelog if self.changelog is not None else f"{self.name}.state.v1"


@dataclass(frozen=True, slots=True)
class LaneTuning:
    """Limits and times of a lane. Times are seconds unless the name says otherwise."""

    max_batch_records: int = 1000
    max_batch_bytes: int = 4_000_000
    fetch_pause: float = 0.0
    """Seconds between two fetches of the lane's consumer. Use 0 if a caller waits for the reply, and .05 to .2 if none does: a lane that only
    observes then asks the broker rarely, and takes what has come together. Timers do not wait for it."""
    unwritten_records: int = 1000
    """A batch that wrote nothing costs no transaction; its position is written with the next, or when this number of records has been
    handled since."""
    buffer_records: int = 4000
    """Records read ahead per partition before it is paused."""
    max_output_bytes: int = 900_000
    """Largest single output record (key, value, headers); must stay below the broker's max.message.bytes."""
    session_timeout_ms: int = 10_000
    heartbeat_interval_ms: int = 1_000
    rebalance_timeout_ms: int = 30_000
    group_instance: str | None = None
    """The name of this member in the group, if membership is static (KIP-345): a member that returns within the session time-out gets its
    partitions back without a rebalance, and one that ends keeps them until then."""
    close_timeout: float = 3.0
    """Deadline for closing a client that has failed."""
    confirm_loss: float = 1.0
    """Seconds for which a loss of the changelog or the input must show before the lane refuses a partition (`witness`)."""
    release_timeout: float = 1.0
    """Deadline for readers to see that a partition was given up."""
    stop_timeout: float = 10.0
    """Deadline for finishing the current batch when partitions are revoked or the runner stops."""
    offsets_interval: float = 1.0
    """How often the group's offsets are committed (outside the transactions, for tools that show the lag)."""
    watermark_slack: float = 0.0
    """Seconds by which the watermark of a `Follower` may be behind and count as the present. With 0, a timer waits for one question to the broker."""
    hang_after: float = 75.0
    """Seconds for which a transaction may hold the lane's readers back before it hangs: longer than any transaction may last."""
    retry_least: float = 0.1
    retry_most: float = 5.0
    restore_concurrency: int = 4
    attempts: int = 3
    """The number of times a record may make the processor raise before it becomes a dead letter."""
    step_over: bool = True
    """False: a record that fails this number of times ends the lane instead. For replays, which must decide as the original did."""
    skip: frozenset[tuple[int, int]] = frozenset()
    """(partition, offset) of inputs that an operator has decided to skip; they become dead letters (SKIPPED_BY_OPERATOR)."""
    dead_letters: str = DEAD_LETTERS
    fault: Callable[[str], None] | None = field(default=None, compare=False)
    """Hook for tests, None in production: called with the name of each point that a batch passes (`faults.POINTS`), so that a test can
    kill or stop its own process exactly there."""


class LaneMetrics(Protocol):
    """Receives the measurements of a lane. Called often: implementations cache their label children. Times in seconds."""

    def lag(self, lane: str, partition: int, records: int, seconds: float) -> None:
        """Records not yet committed, and the age of the oldest of those that have been read (0 when none waits). Gauges."""

    def oldest_uncommitted(self, lane: str, partition: int, seconds: float) -> None:
        """How long the oldest record that was handled but is not yet committed has been waiting. Gauge."""

    def restore_progress(self, lane: str, partition: int, read: int, total: int) -> None:
        """Changelog offsets read, and their total number. Gauge."""

    def restored(self, lane: str, partition: int, entries: int, seconds: float) -> None:
        """A partition is live: entries restored, time from assignment. Histogram and counter."""

    def batch(self, lane: str, partition: int, records: int) -> None:
        """A batch was taken (0 records: timers only). Histogram."""

    def committed(self, lane: str, partition: int, records: int, seconds: float) -> None:
        """A transaction is durable; seconds from the commit request to its response. Counter of records, histogram."""

    def unwritten(self, lane: str, partition: int, records: int) -> None:
        """A batch was handled that wrote nothing, so without a transaction. Counter of records, the same as `committed`'s."""

    def rebalanced(self, lane: str, partitions: int) -> None:
        """The group assigned this number of partitions to this process. Counter, and gauge of the partitions."""

    def input_partitions(self, lane: str, partitions: int) -> None:
        """The number of partitions of the lane's input, whichever process owns them. Gauge."""

    def lost(self, lane: str, partition: int) -> None:
        """This process stopped owning a partition: its gauges can be removed."""

    def aborted(self, lane: str, partition: int, reason: str) -> None:
        """A batch was discarded; reason is one of `transaction`, `unknown_outcome`, `replay`, `processor`, `stop`. Counter."""

    def fenced(self, lane: str, partition: int) -> None:
        """Another owner took over before this one noticed. Counter."""

    def dead_letter(self, lane: str, partition: int, reason: str) -> None:
        """An input became a dead letter. Counter."""

    def refused(self, lane: str, partition: int, reason: str | None) -> None:
        """This process refuses to take a partition over, and why; None: no longer. Gauge."""


class NoMetrics:
    """Discards all measurements."""

    def lag(self, lane: str, partition: int, records: int, seconds: float) -> None: ...
    def oldest_uncommitted(self, lane: str, partition: int, seconds: float) -> None: ...
    def restore_progress(self, lane: str, partition: int, read: int, total: int) -> None: ...
    def restored(self, lane: str, partition: int, entries: int, seconds: float) -> None: ...
    def batch(self, lane: str, partition: int, records: int) -> None: ...
    def committed(self, lane: str, partition: int, records: int, seconds: float) -> None: ...
    def unwritten(self, lane: str, partition: int, records: int) -> None: ...
    def rebalanced(self, lane: str, partitions: int) -> None: ...
    def input_partitions(self, lane: str, partitions: int) -> None: ...
    def lost(self, lane: str, partition: int) -> None: ...
    def aborted(self, lane: str, partition: int, reason: str) -> None: ...
    def fenced(self, lane: str, partition: int) -> None: ...
    def dead_letter(self, lane: str, partition: int, reason: str) -> None: ...
    def refused(self, lane: str, partition: int, reason: str | None) -> None: ...


NO_METRICS = NoMetrics()


class ProcessorFailed(Exception):  # noqa: N818 - reads as what happened
    """A processor raised an exception other than InvalidRecord repeatedly: a bug, or an unforeseen record. The cause is attached."""

    def __init__(self, lane: str, partition: int, offset: int | None, attempts: int) -> None:
        where = f"record {offset}" if offset is not None else "start, begin, advance or end"
        super().__init__(f"lane {lane}, partition {partition}: {where} failed {attempts} times; nothing was committed")
        self.lane = lane
        self.partition = partition
        self.offset = offset
