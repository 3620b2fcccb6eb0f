"""A relay: writes records of one topic to another topic under another key, at least once.

A relay has no state and no transaction. It publishes a batch together and commits the offsets of the batch when the broker
has acknowledged all of it. After a failure in between, the batch is published again. The lane that reads the records
recognises repetitions by the place of origin in their headers (`relayed`, which states the rules that a relay obeys).

Order per key stays: nothing is published after a record of the same partition that failed. A record that cannot be
converted becomes a dead letter, and the others pass.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from services.chassis.clock import Clock
from services.chassis.kafka.batch_publisher import MAX_RECORD_BYTES, BatchPublisher
from services.chassis.kafka.clients import KafkaAccess
from services.chassis.kafka.consumer import GroupConsumer
from services.chassis.kafka.contract import LaneMetrics
from services.chassis.kafka.outbox import Send, record_bytes
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.records import TRACE_HEADERS, InvalidRecord, Record
from services.chassis.kafka.relayed import relayed_from
from services.chassis.reasons import Reason

Convert = Callable[[Record], Send | None]
"""Returns the one record to write for a record, or None. Pure. Raises InvalidRecord for a record that becomes a dead letter."""

PACE_S: Final = 0.15
"""No caller waits for a relay. Records that come together cost a fetch, a publication and a commit once, and the lane behind it one transaction."""
_FINISH_S: Final = 10.0
_TURN: Final = 50
"""Records after which the event loop gets a turn."""


@dataclass(frozen=True, slots=True)
class RelaySpec:
    """A relay's name, which is also its group, and its input (logical names)."""

    name: str
    input: str


class Relay:
    """Runs one relay as a member of its group. `run` ends on cancellation, when the current batch is committed."""

    def __init__(
        self,
        spec: RelaySpec,
        convert: Convert,
        kafka: KafkaAccess,
        publisher: BatchPublisher,
        poison: Poison,
        *,
        client_id: str,
        clock: Clock,
        metrics: LaneMetrics,
        on_joined: Callable[[bool], None] | None = None,
        pace_s: float = PACE_S,
        fault: Callable[[str], None] | None = None,
    ) -> None:
        """`pace_s` and `fault`: see `GroupConsumer`. `poison` writes the dead letters."""
        self._spec = spec
        self._convert = convert
        self._publisher = publisher
        self._poison = poison
        self._metrics = metrics
        self._consumer = GroupConsumer(
            kafka,
            group=spec.name,
            topics=[spec.input],
            handler=self.handle,
            client_id=client_id,
            poison=poison,
            pace_s=pace_s,
            finish_s=_FINISH_S,
            metrics=metrics,
            on_joined=on_joined,
            clock=clock,
            fault=fault,
        )

    async def run(self) -> None:
        """Run until `stop` or cancellation. If the broker is away, wait for it."""
        await self._consumer.run()

    def stop(self) -> None:
        """Make `run` return after the current batch."""
        self._consumer.stop()

    @property
    def joined(self) -> bool:
        """Whether the group has assigned partitions (perhaps none)."""
        return self._consumer.joined

    async def handle(self, records: Sequence[Record]) -> None:
        """Publish what these records become. Raises BrokerUnavailable when the batch must come again."""
        sends: list[Send] = []
        refused: list[tuple[Record, Exception]] = []
        for number, record in enumerate(records, 1):
            try:
                send = self._relayed(record)
            except Exception as error:  # noqa: BLE001 - a record must not end the relay, nor stop its neighbours
                refused.append((record, error))
            else:
                if send is not None:
                    sends.append(send)
            if not number % _TURN:
                await asyncio.sleep(0)
        await self._publisher.publish(sends)
        # Afterwards, so that a batch that is published again writes no dead letter twice.
        for record, verdict in refused:
            reason = verdict.reason if isinstance(verdict, InvalidRecord) else Reason.READER_FAILED
            await self._poison.bury(record, verdict)
            self._metrics.dead_letter(self._spec.name, record.partition, reason)

    def _relayed(self, record: Record) -> Send | None:
        send = self._convert(record)
        if send is None:
            return None
        cause = tuple(header for header in record.headers if header[0] in TRACE_HEADERS)
        send = send._replace(headers=(*send.headers, *cause, relayed_from(record)))
        size = record_bytes(send.key, send.value, send.headers)
        if size > MAX_RECORD_BYTES:
            raise InvalidRecord(Reason.OUTPUT_TOO_LARGE, f"{size} bytes for {send.topic}, limit {MAX_RECORD_BYTES}")
        return send
