"""Parts that every reader shares: the guard, a lane with time and takeovers, and fakes of the clients that it calls.

A reader takes one record at a time. An exception that escapes from it would end a service. Lanes also get time, takeovers and a
restore of their state, because a record that is accepted now can cause harm later.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from docs.generate.metrics import CATALOGUE
from services.chassis.config_reader import ConfigReader
from services.chassis.destinations import DEVELOPMENT
from services.chassis.kafka.consumer import NotNow
from services.chassis.kafka.contract import LaneTuning, ProcessorFactory
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.chassis.privacy.sealing import DataKey
from services.chassis.secrets import SecretReferences
from services.feedback.adapters import readers
from services.webhooks.delivery import webhook_client
from services.webhooks.retries import Patience, Webhooks
from tests.fakes.lane import FakeLane
from tests.fakes.privacy import MemoryKeys
from tests.unit.poison.generator import NOW

Take = Callable[[Record], object]


HOUR = 3_600_000


@dataclass(frozen=True)
class Reader:
    """A reader of one topic. `make` builds the function that takes the records. `module`: the module that reads the topic."""

    name: str
    topic: str
    schema: type[Message]
    module: str
    make: Callable[[], Take]


def guarded(take: Take) -> Take:
    """Wrap a reader as `Poison.guard` does: refusals are accepted. Any other exception is a finding, although the guard catches it."""

    def one(record: Record) -> None:
        try:
            take(record)
        except (InvalidRecord, ValueError) as verdict:
            if not isinstance(verdict, InvalidRecord) and type(verdict).__name__ != "Untranslatable":
                raise

    return one


class LaneReader:
    """A processor on the fake lane. It does not step over bugs: a bug is a finding."""

    def __init__(self, make: ProcessorFactory, topic: str, first: tuple[bytes, ...] = ()) -> None:
        tuning = LaneTuning(attempts=1, step_over=False)
        self.lane = FakeLane(make, input_topic=topic, now_ms=NOW, tuning=tuning)
        for value in first:
            self.lane.handle(value)
        self._count = 0

    def __call__(self, record: Record) -> None:
        lane = self.lane
        made = lane.record(record.value, key=record.key, headers=record.headers)
        lane.batch(made._replace(timestamp_ms=record.timestamp_ms))
        self._count += 1
        if self._count % 50 == 0:
            lane.now_ms += 60_000
            lane.batch()
        if self._count % 400 == 0:
            lane.crash()
        if self._count % 300 == 0:
            lane.now_ms += 40 * 24 * HOUR  # interactions and timers that wait for a time become due
            lane.batch()


def batch(handle: readers.Batch) -> Take:
    def take(record: Record) -> None:
        try:
            asyncio.run(_awaited(handle, record))
        except NotNow:
            return

    return take


async def _awaited(handle: readers.Batch, record: Record) -> None:
    await handle([record])


class AnyKey(MemoryKeys):
    """Keys that have a key for every id, so that sealed values are opened with it."""

    def find(self, key_id: bytes) -> DataKey:
        return self.made("acme", "anyone")


class SilentLog:
    """A log that discards every record."""

    async def publish(self, *_: object, **__: object) -> tuple[int, int]:
        return 0, 0


def a_poison() -> Poison:
    return Poison("fuzz", Metrics(CATALOGUE))


class StrictPoison(Poison):
    """A guard that does not catch bugs."""

    def __init__(self) -> None:
        super().__init__("fuzz", Metrics(CATALOGUE))

    def guard(self, record: Record, take: Take) -> bool:
        guarded(take)(record)
        return True


def webhooks(topic: str) -> Webhooks:
    return Webhooks(
        topic,
        lambda _tenant, _name: None,
        SecretReferences(lambda: NOW),
        webhook_client(DEVELOPMENT),  # not entered: no endpoint is configured, so nothing is called
        SilentLog(),  # type: ignore[arg-type]  # a fake
        lambda: NOW,
        Metrics(CATALOGUE),
        Patience(delay_ms=0),
    )


def configuration_reader(
    decode: Callable[[str, bytes], Any], on_change: Callable[[str, Any], None] | None = None
) -> Take:
    kafka = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9"})
    reader = ConfigReader(kafka, decode, on_change=on_change)
    return lambda record: reader._take(record.partition, record.offset, record.key, record.value)
