"""The newest value of each key of a compacted topic, kept up to date: services read their configuration this way.

A value that cannot be decoded is refused and logged, and the running version stays: a mistake in the configuration must not
stop a service, nor prevent a restarted process from starting. (At the first read there is no running version; then the
key is simply absent.) A tombstone removes a key. The reader uses no group, reads committed records only, and reads every
partition from the start; if the broker is away, the reader waits for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.clients import assign, close_consumer, plain_reader
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.reasons import Reason

T = TypeVar("T")
Decode = Callable[[str, bytes], T]
"""(key, raw value) -> the configuration. May raise any exception: the value is refused then."""

_POLL_MS = 500
_RETRY_S = 1.0
_CLOSE_S = 3.0


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One key's running configuration. `offset` is its version in the log: higher is newer."""

    key: str
    value: T
    offset: int
    partition: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """The newest record of a key, when it could not be applied."""

    key: str
    offset: int
    error: str


class ConfigReader(Generic[T]):
    """Reads one topic; see the module. `on_change(key, value or None)` runs in the reader's task, after the table has changed."""

    def __init__(
        self,
        kafka: KafkaSettings,
        decode: Decode[T],
        *,
        topic: str = "config.v1",
        on_change: Callable[[str, T | None], None] | None = None,
        metrics: Metrics | None = None,
        version: Callable[[T], int] | None = None,
    ) -> None:
        """`version`: of a configuration, for the metrics."""
        self._kafka = kafka
        self._topic = kafka.topic_prefix + topic
        self._decode = decode
        self._on_change = on_change
        self._shown = _Shown(metrics) if metrics is not None else None
        self._version = version
        self._entries: dict[str, Entry[T]] = {}
        self._refusals: dict[str, Refusal] = {}
        self._positions: dict[int, int] = {}
        self._caught_up = asyncio.Event()
        self._configured = asyncio.Event()
        self._log = get_logger(__name__)

    async def first(self, timeout: float | None = None) -> Mapping[str, T]:  # noqa: ASYNC109 - it words the error
        """Return all values that existed when reading began. Waits while Kafka is away.

        With a time-out, raises UNAVAILABLE CONFIG_UNREAD after `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._caught_up.wait()
        except TimeoutError as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.CONFIG_UNREAD,
                f"{self._topic} was not read within {timeout:g} s: is Kafka at {self._kafka.bootstrap_servers} up, "
                "and has `chapar topics apply` run?",
            ) from error
        return self.values

    async def configured(self) -> None:
        """Return when a key has had a configuration. Waits without a limit."""
        await self._configured.wait()

    @property
    def values(self) -> Mapping[str, T]:
        """The running configurations, by key."""
        return MappingProxyType({key: entry.value for key, entry in self._entries.items()})

    @property
    def entries(self) -> Mapping[str, Entry[T]]:
        """The running configurations with their offsets."""
        return MappingProxyType(self._entries)

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        """Keys whose newest record was refused; a key is removed when a later record is applied."""
        return MappingProxyType(self._refusals)

    def get(self, key: str) -> T | None:
        """Return the running configuration of one key."""
        entry = self._entries.get(key)
        return entry.value if entry is not None else None

    async def run(self) -> None:
        """Read for ever; run it in a task group. If the broker is away, wait for it."""
        while True:
            try:
                async with self._consumer() as consumer:
                    await self._follow(consumer)
            except (KafkaError, OSError) as error:
                self._log.warning("configuration topic not readable", topic=self._topic, error=type(error).__name__)
            await asyncio.sleep(_RETRY_S)

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Any]:
        consumer = plain_reader(self._kafka, client_id="configuration")
        try:
            await consumer.start()
            yield consumer
        finally:
            await close_consumer(consumer, _CLOSE_S)

    async def _follow(self, consumer: Any) -> None:
        partitions = await self._partitions(consumer)
        ends = await consumer.end_offsets(partitions)  # before a fetch waits for records on the same connection
        assign(consumer, partitions)
        for partition in partitions:
            # After a lost connection, continue at the same position; everything before it has been read.
            if partition.partition in self._positions:
                consumer.seek(partition, self._positions[partition.partition])
            else:
                await consumer.seek_to_beginning(partition)
        while True:
            batches = await consumer.getmany(*partitions, timeout_ms=_POLL_MS if self._caught_up.is_set() else 50)
            for records in batches.values():
                for record in records:
                    self._take(record.partition, record.offset, record.key, record.value)
            for partition in partitions:
                self._positions[partition.partition] = await consumer.position(partition)
            if not self._caught_up.is_set() and all(self._positions[p.partition] >= ends[p] for p in partitions):
                self._caught_up.set()

    async def _partitions(self, consumer: Any) -> list[TopicPartition]:
        # The public call answers from a cache that `topics()` does not fill. A topic that does not exist yet (`chapar topics
        # apply` may still be running) raises, and `run` tries again.
        found = await consumer._client._wait_on_metadata(self._topic)
        return [TopicPartition(self._topic, number) for number in sorted(found)]

    def _take(self, partition: int, offset: int, raw_key: bytes | None, raw: bytes | None) -> None:
        key = (raw_key or b"").decode("utf-8", "replace")
        running = self._entries.get(key)
        if raw is None:
            self._refusals.pop(key, None)
            self._show_refused()
            if self._entries.pop(key, None) is not None:
                self._changed("removed", key, None)
            return
        try:
            value = self._decode(key, raw)
        except Exception as error:  # noqa: BLE001 - a decoder may raise anything; the running version stays
            self._refusals[key] = Refusal(key, offset, f"{type(error).__name__}: {error}")
            self._count("refused")
            self._show_refused()
            self._log.error(
                "configuration refused",
                key=key,
                offset=offset,
                running=running.offset if running is not None else None,
                error=type(error).__name__,
                message=str(error),
            )
            return
        self._refusals.pop(key, None)
        self._show_refused()
        if self._shown is not None and self._version is not None:
            self._shown.version.set(self._version(value))
        self._entries[key] = Entry(key, value, offset, partition)
        self._configured.set()
        self._changed("taken", key, value)

    def _changed(self, outcome: str, key: str, value: T | None) -> None:
        self._count(outcome)
        if self._on_change is not None:
            try:
                self._on_change(key, value)
            except Exception as error:  # noqa: BLE001 - a listener that fails on one value must still receive the next ones
                self._count("refused")
                self._log.error("configuration not taken over", key=key, error=type(error).__name__)

    def _count(self, outcome: str) -> None:
        if self._shown is not None:
            self._shown.changes.labels(outcome).inc()

    def _show_refused(self) -> None:
        if self._shown is not None:
            self._shown.refused.set(len(self._refusals))


class _Shown:
    """The metrics of a reader."""

    def __init__(self, metrics: Metrics) -> None:
        self.changes = metrics.counter("chapar_config_changes_total")
        self.refused = metrics.gauge("chapar_config_refused").labels()
        self.version = metrics.gauge("chapar_config_version").labels()
