"""The pace of one customer in the intake lane: messages beyond it wait in the lane's changelog, in order, and are taken one after
the other. Providers get their 200 at once, and the customer's neighbours are not slowed down.

    record ──within the pace──▶ IntakeProcessor
       └───beyond, or behind one that waits──▶ `w/…` in the changelog ──when it is due──▶ IntakeProcessor

Only messages of customers wait. Notices, requests and erasures are handled at once. The bound: at most `MOST_WAITING` messages of
one customer and `MOST_BYTES` in one partition wait. At the bound the customer's oldest waiting message is taken at once, so that
nothing is lost and the memory does not grow: the pace is exceeded instead, and counted (`AT_BOUND`).
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.chassis.kafka.deadletters import DEAD_LETTERS, dead_letter_headers, encode
from services.chassis.kafka.lane import InvalidRecord, LaneContext, Outbox, Processor, Record
from services.chassis.metrics import Metrics
from services.chassis.pacing import Rate
from services.chassis.privacy.sealing import Keys
from services.ingest.domain.limits import Limiter
from services.ingest.lanes.inbound_records import TOPIC, decoded, event_of, key_of
from services.ingest.lanes.timers import Timers, earliest

WAITING_STATE: Final = b"w/"
MOST_WAITING: Final = 1_000
MOST_BYTES: Final = 32 << 20
LANE: Final = "ingest-intake"


def paced(
    inner: Callable[[LaneContext], Processor], rate: Rate, keys: Keys, metrics: Metrics
) -> Callable[[LaneContext], Processor]:
    """Return a factory of processors that take each customer's messages at this rate."""
    counter = metrics.counter("chapar_intake_paced_total")

    def count(tenant: str, channel: str, outcome: str, many: int) -> None:
        counter.labels(tenant, channel, outcome).inc(many)

    return lambda context: PacedIntake(inner(context), rate, keys, count)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMessage:
    """One message that waits: its record, as it came, and the labels by which it is counted. `number`: its place in the customer's
    line."""

    number: int
    tenant: str
    channel: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    @property
    def record(self) -> Record:
        """Return the record as the lane would have handled it."""
        return Record(self.topic, self.partition, self.offset, self.timestamp_ms, self.key, self.value, self.headers)

    @property
    def size(self) -> int:
        """Return the bytes that it holds."""
        return len(self.key) + len(self.value)


class PacedIntake:
    """Handles one partition of inbound.v1; `inner` decides about the records."""

    def __init__(self, inner: Processor, rate: Rate, keys: Keys, count: Callable[[str, str, str, int], None]) -> None:
        self._inner = inner
        self._keys = keys
        self._count = count
        self._pace = Limiter(rate)
        self._lines: dict[bytes, deque[WaitingMessage]] = {}
        self._bytes = 0
        self._timers = Timers()
        self._now_ms = 0
        self._codec = ChangelogCodec[WaitingMessage](WaitingMessage)
        self._counted: Counter[tuple[str, str, str]] = Counter()

    # ---- calls by the lane runner

    def restore(self, key: bytes, value: bytes) -> None:
        """See `contract.Processor`."""
        if not key.startswith(WAITING_STATE):
            self._inner.restore(key, value)
            return
        waiting = self._codec.decode(value)
        self._lines.setdefault(waiting.key, deque()).append(waiting)
        self._bytes += waiting.size

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        self._inner.start(now_ms, outbox)
        for owner, line in self._lines.items():
            self._lines[owner] = deque(sorted(line, key=lambda each: each.number))
            self._timers.set(owner.decode(), now_ms)

    def begin(self, now_ms: int) -> None:
        """See `contract.Processor`."""
        self._now_ms = now_ms
        self._inner.begin(now_ms)

    def handle(self, record: Record, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        owner = record.key or b""
        line = self._lines.get(owner)
        wait_s = 0.0 if line else self._pace.take(owner.decode("utf-8", "replace"), self._now_ms)
        if (line is None and wait_s <= 0) or not self._may_wait(record, outbox, line, wait_s):
            self._inner.handle(record, outbox)

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        self._inner.advance(now_ms, outbox)
        for name in self._timers.pop_due(now_ms):
            owner = name.encode()
            while self._lines.get(owner):
                wait_s = self._pace.take(name, now_ms)
                if wait_s > 0:
                    self._timers.set(name, now_ms + ceil(wait_s * 1000))
                    break
                self._take_oldest(owner, outbox)

    def end(self, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        self._inner.end(outbox)
        if self._counted:
            counted, self._counted = self._counted, Counter()

            def count() -> None:
                for labels, many in counted.items():
                    self._count(*labels, many)

            outbox.after_commit(count)

    def next_wakeup(self) -> int | None:
        """See `contract.Processor`."""
        return earliest(self._inner.next_wakeup(), self._timers.next())

    # ---- internal

    def _may_wait(self, record: Record, outbox: Outbox, line: deque[WaitingMessage] | None, wait_s: float) -> bool:
        """Let a customer's message wait; return False for every other record. Raises InvalidRecord, as the inner processor."""
        inbound, _ = decoded(record, self._keys)
        if inbound.WhichOneof("record") != "message" or inbound.hops or inbound.question_id:
            return False
        key_of(record, inbound.tenant)
        event_of(inbound)
        owner = record.key or b""
        if line is None:
            line = self._lines[owner] = deque()
            self._timers.set(owner.decode(), self._now_ms + ceil(wait_s * 1000))
        waiting = WaitingMessage(
            number=line[-1].number + 1 if line else 0,
            tenant=inbound.tenant,
            channel=inbound.message.identity.channel,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            key=owner,
            value=record.value or b"",
            headers=tuple(record.headers),
        )
        outbox.put(self._entry(owner, waiting.number), self._codec.encode(waiting))
        line.append(waiting)
        self._bytes += waiting.size
        self._counted[waiting.tenant, waiting.channel, "WAITED"] += 1
        while len(line) > 1 and (len(line) > MOST_WAITING or self._bytes > MOST_BYTES):
            self._counted[waiting.tenant, waiting.channel, "AT_BOUND"] += 1
            self._take_oldest(owner, outbox)
        return True

    def _take_oldest(self, owner: bytes, outbox: Outbox) -> None:
        """Handle the customer's oldest waiting message."""
        line = self._lines[owner]
        oldest = line.popleft()
        self._bytes -= oldest.size
        if not line:
            del self._lines[owner]
            self._timers.set(owner.decode(), None)
        outbox.delete(self._entry(owner, oldest.number))
        try:
            self._inner.handle(oldest.record, outbox)
        except InvalidRecord as refused:
            letter = encode(oldest.record, refused, LANE, self._now_ms)
            outbox.send(
                DEAD_LETTERS, f"{TOPIC}/{oldest.record.partition}".encode(), letter, dead_letter_headers(oldest.record)
            )

    def _entry(self, owner: bytes, number: int) -> bytes:
        return WAITING_STATE + owner + b"/%d" % number
