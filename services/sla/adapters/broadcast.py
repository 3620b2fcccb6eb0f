"""sla.events.v1 to whoever watches: one reader a process, a bounded queue a watcher.

A watcher that does not keep up is told so and dropped; it never holds the others up or fills the memory.
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
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.sla.adapters.lane import EVENTS

_WAITING: Final = 1000
Wanted = Callable[[sla.SlaEvent], bool]


class Broadcast:
    """Hands events on as they are committed."""

    def __init__(self, poison: Poison) -> None:
        self._poison = poison
        self._watchers: dict[asyncio.Queue[sla.SlaEvent | ChaparError], Wanted] = {}

    async def run(self, kafka: KafkaSettings, client_id: str, caught_up: Callable[[], None]) -> None:
        """Reads for ever, from now on."""
        async with aclosing(tail(kafka, EVENTS, from_="end", client_id=client_id, caught_up=caught_up)) as records:
            async for record in records:
                self._poison.guard(record, self.take)

    def take(self, record: Record) -> None:
        """One record. Raises InvalidRecord."""
        try:
            event = sla.SlaEvent.FromString(record.value or b"")
        except DecodeError as error:
            raise InvalidRecord("UNDECODABLE", "not an SlaEvent") from error
        self.publish(event)

    def publish(self, event: sla.SlaEvent) -> None:
        """Hands one event to each watcher that wants it."""
        for queue, wanted in list(self._watchers.items()):
            if not wanted(event):
                continue
            if queue.qsize() >= _WAITING:
                del self._watchers[queue]
                text = f"more than {_WAITING} events waited for you"
                queue.put_nowait(ChaparError(ErrorKind.EXHAUSTED, "WATCHER_TOO_SLOW", text))
            else:
                queue.put_nowait(event)

    async def watch(self, wanted: Wanted) -> AsyncGenerator[sla.SlaEvent, None]:
        """Events that are wanted, from now on. Raises EXHAUSTED when this watcher is too slow, UNAVAILABLE when this
        replica stops. How many watch is bounded where streams are let in, by tenant."""
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
        """Ends all streams: this replica stops, another one serves."""
        for queue in self._watchers:
            queue.put_nowait(ChaparError(ErrorKind.UNAVAILABLE, "DRAINING", "this replica stops: connect again"))
        self._watchers.clear()
