"""What a reader does with a record that it cannot handle: it skips the record, and reports it.

Lanes have their own dead letters (`batch`). This module is for the other readers: tails, and members of a group. Whatever a
record makes a reader raise (undecodable bytes, numbers out of range, a bug), the reader goes on with the next record: one
record must not end a service, nor fail it again at each restart. The record's place is logged, the record is counted, and
it becomes a dead letter if the reader writes dead letters.
"""

import logging
from collections.abc import Callable
from typing import Final

from services.chassis.kafka.deadletters import DEAD_LETTERS, dead_letter_headers, encode, shortened
from services.chassis.kafka.failures import shown
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.metrics import Metrics
from services.chassis.reasons import Reason

FAILED: Final = Reason.READER_FAILED
_ROOM: Final = 200_000
log = logging.getLogger(__name__)


class Poison:
    """Skips records of one reader. `reader` names it in logs and dead letters."""

    def __init__(
        self,
        reader: str,
        metrics: Metrics,
        *,
        producer: DurableProducer | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """With a producer and a clock, skipped records become dead letters."""
        self._reader = reader
        self._counter = metrics.counter("chapar_records_stepped_over_total")
        self._producer = producer
        self._clock = clock

    def guard(self, record: Record, take: Callable[[Record], None]) -> bool:
        """Let the reader handle one record. Return whether it could; otherwise the record is skipped."""
        try:
            take(record)
        except Exception as error:  # noqa: BLE001 - see the module
            self.note(record, error)
            return False
        return True

    def note(self, record: Record, error: Exception) -> InvalidRecord:
        """Log and count one record that is skipped. Return the verdict."""
        verdict = error if isinstance(error, InvalidRecord) else InvalidRecord(FAILED, type(error).__name__)
        self._counter.labels(record.topic, verdict.reason).inc()
        log.error(
            "%s: record skipped: %s/%d at %d: %s (%s)",
            self._reader,
            record.topic,
            record.partition,
            record.offset,
            verdict.reason,
            shown(error),
        )
        return verdict

    async def bury(self, record: Record, error: Exception) -> None:
        """Skip a record, with a dead letter if this reader writes them. Raises BrokerUnavailable when the dead letter cannot be written."""
        verdict = self.note(record, error)
        if self._producer is None or self._clock is None:
            return
        if len(record.value or b"") + len(record.key or b"") + sum(len(v) for _, v in record.headers) > _ROOM:
            record, verdict = shortened(record, verdict, _ROOM)
        value = encode(record, verdict, self._reader, self._clock())
        key = f"{record.topic}/{record.partition}".encode()
        await self._producer.publish(DEAD_LETTERS, key, value, dead_letter_headers(record))
