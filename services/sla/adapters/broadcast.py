"""Sends sla.events.v1 to callers that watch: one reader per process, one bounded queue per watcher.

A watcher that does not keep up gets an error and is dropped; it never delays the other watchers or fills the memory.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from google.protobuf.message import DecodeError

from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka.tail import VIEW_REST_S, tail
from services.chassis.kafka_settings import KafkaSettings
from services.sla.domain.reasons import Reason
from services.sla.lanes.deadlines import EVENTS

_WAITING: Final = 1000
Wanted = Callable[[sla.SlaEvent], bool]


class Broadcast:
    """Passes events on to watchers as they are committed."""

    def __init__(self, poison: Poison) -> None:
        self._poison = poison
        self._watchers: dict[asyncio.Queue[sla.SlaEvent | ChaparError], Wanted] = {}

    async def run(self, kafka: KafkaSettings, client_id: str, caught_up: Callable[[], None]) -> None:
        """Read events forever, from now on."""
        records = tail(kafka, EVENTS, from_="end", client_id=client_id, rest_s=VIEW_REST_S, caught_up=caught_up)
        async with aclosing(records):
            async for record in records:
                self._poison.guard(record, self.take)

    def take(self, record: Record) -> None:
        """Decode and publish one record. Raises InvalidRecord."""
        try:
            event = sla.SlaEvent.FromString(record.value or b"")
        except DecodeError as error:
            raise InvalidRecord(Reason.UNDECODABLE, "not an SlaEvent") from error
        self.publish(event)

    def publish(self, event: sla.SlaEvent) -> None:
        """Pass one event to each watcher that wants it."""
        for queue, wanted in list(self._watchers.items()):
            if not wanted(event):
                continue
            if queue.qsize() >= _WAITING:
                del self._watchers[queue]
                text = f"this watcher is too slow: more than {_WAITING} events are waiting"
                queue.put_nowait(ChaparError(ErrorKind.EXHAUSTED, Reason.WATCHER_TOO_SLOW, text))
            else:
                queue.put_nowait(event)

    async def watch(self, wanted: Wanted) -> AsyncGenerator[sla.SlaEvent, None]:
        """Yield the wanted events, from now on. Raises EXHAUSTED if this watcher is too slow, UNAVAILABLE if this
        replica stops. The number of watchers is limited by tenant where streams are admitted, not here."""
        queue: asyncio.Queue[sla.SlaEvent | ChaparError] = asyncio.Queue()
        self._watchers[queue] = wanted
        try:
            while True:
                event = await queue.get()
                if isinstance(event, ChaparError):
                    raise event
                yield event
        finally:
            self._watchers.pop(queue, None)

    def close(self) -> None:
        """End all streams because this replica stops; another replica serves the callers."""
        for queue in self._watchers:
            queue.put_nowait(
                ChaparError(ErrorKind.UNAVAILABLE, Reason.DRAINING, "this replica is stopping: connect again")
            )
        self._watchers.clear()
