"""What a reader does with a record that it can't take: it steps over the record, and says so.

Lanes have dead letters of their own (`batch`). This is for the other readers: tails, and members of a group. Whatever a record
makes a reader raise (undecodable bytes, numbers out of range, a bug), the next record has its turn: one record must not end a
service, nor meet it again at each restart. The record is logged by its place, counted, and made a dead letter where the reader
writes them.
"""

import logging
from collections.abc import Callable
from typing import Final

from services.chassis.kafka.deadletters import encode, shortened
from services.chassis.kafka.failures import shown
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.metrics import Metrics

DEAD_LETTERS: Final = "deadletters.v1"
FAILED: Final = "READER_FAILED"
_ROOM: Final = 200_000
log = logging.getLogger(__name__)


class Poison:
    """One reader's way to step over records. `reader` names it in logs and dead letters."""

    def __init__(
        self,
        reader: str,
        metrics: Metrics,
        *,
        producer: DurableProducer | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """With a producer and a clock, records that are stepped over become dead letters."""
        self._reader = reader
        self._counter = metrics.counter("chapar_records_stepped_over_total")
        self._producer = producer
        self._clock = clock

    def guard(self, record: Record, take: Callable[[Record], None]) -> bool:
        """Let the reader take one record. Return whether it could; otherwise the record is stepped over."""
        try:
            take(record)
        except Exception as error:  # noqa: BLE001 - see the module
            self.note(record, error)
            return False
        return True

    def note(self, record: Record, error: Exception) -> InvalidRecord:
        """Log and count one record that is stepped over. Return the verdict."""
        verdict = error if isinstance(error, InvalidRecord) else InvalidRecord(FAILED, type(error).__name__)
        self._counter.labels(record.topic, verdict.reason).inc()
        log.error(
            "%s: record stepped over: %s/%d at %d: %s (%s)",
            self._reader,
            record.topic,
            record.partition,
            record.offset,
            verdict.reason,
            shown(error),
        )
        return verdict

    async def bury(self, record: Record, error: Exception) -> None:
        """Step over a record, with a dead letter if this reader writes them. Raises BrokerUnavailable when it can't be written."""
        verdict = self.note(record, error)
        if self._producer is None or self._clock is None:
            return
        if len(record.value or b"") + len(record.key or b"") + sum(len(v) for _, v in record.headers) > _ROOM:
            record, verdict = shortened(record, verdict, _ROOM)
        value = encode(record, verdict, self._reader, self._clock())
        await self._producer.publish(DEAD_LETTERS, f"{record.topic}/{record.partition}".encode(), value)
