"""Two transactional producers of one partition, which take turns.

Opening initialises `-a`, then `-b`: that fences both producers of any earlier owner and waits for its last transaction. The first transaction is
always `-a`'s. (Why that order is safe: see `lane`.) A producer that fails is never used again: `TransactionFailed` means discard both.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from aiokafka.partitioner import murmur2

from services.chassis.kafka.clients import (
    FENCED,
    BrokerError,
    KafkaAccess,
    discard_producer,
    transactional_producer,
)
from services.chassis.kafka.closing import close_all
from services.chassis.kafka.contract import LaneTuning
from services.chassis.kafka.outbox import BatchOutbox

_ROOM_FOR_FRAMING = 64 << 10
_KEYS_REMEMBERED = 20_000


class TransactionFailed(Exception):  # noqa: N818 - reads as what happened
    """This transaction is not known to be durable. `fenced`: another owner took over. `unknown`: it may be durable after all."""

    def __init__(self, what: str, *, fenced: bool = False, unknown: bool = False) -> None:
        super().__init__(what)
        self.fenced = fenced
        self.unknown = unknown


@dataclass(frozen=True, slots=True)
class Sealed:
    """The contents of one transaction. `position` is an encoded `changelog.Position`."""

    outbox: BatchOutbox
    changes: Mapping[bytes, bytes | None]
    now_ms: int


class TakingTurns:
    """Both producers of one partition, started. Use as an async context manager; leaving it discards both."""

    def __init__(
        self, kafka: KafkaAccess, *, name: str, changelog: str, partition: int, client_id: str, tuning: LaneTuning
    ) -> None:
        self._prefix = kafka.topic_prefix
        self._changelog = kafka.topic_prefix + changelog
        self._partition = partition
        self._tuning = tuning
        self._destinations: dict[str, _Destination] = {}
        self._producers = [
            transactional_producer(
                kafka,
                transactional_id=f"{kafka.topic_prefix}{name}-{partition}-{turn}",
                client_id=f"{client_id}-{partition}-{turn}",
                transaction_timeout_ms=tuning.transaction_timeout_ms,
                request_timeout_ms=tuning.request_timeout_ms,
                max_batch_bytes=tuning.max_output_bytes + _ROOM_FOR_FRAMING,
            )
            for turn in ("a", "b")
        ]
        self._next = 0

    async def __aenter__(self) -> Self:
        try:
            for producer in self._producers:  # in this order: see `lane`
                await producer.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        async with AsyncExitStack() as stack:  # the second is discarded even if a cancellation interrupts the first
            for producer in self._producers:
                stack.push_async_callback(discard_producer, producer, self._tuning.close_timeout)

    def next_turn(self) -> "Transaction":
        """Return the other producer's turn. At most two transactions are open at a time, and they commit in order."""
        producer = self._producers[self._next]
        self._next = 1 - self._next
        return Transaction(self, producer)

    async def _destination(self, producer: Any, topic: str) -> "_Destination":
        known = self._destinations.get(topic)
        if known is None:
            name = self._prefix + topic
            known = self._destinations[topic] = _Destination(name, len(await producer.partitions_for(name)))
        return known

    async def _grouped(self, producer: Any, sealed: Sealed) -> list[tuple[str, int, Any]]:
        """Return batches per topic and partition, each in order of sending; the changelog last."""
        full: list[tuple[str, int, Any]] = []
        building: dict[tuple[str, int], Any] = {}
        now_ms = sealed.now_ms

        def add(place: tuple[str, int], key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
            batch = building.get(place)
            if batch is not None:
                if batch.append(timestamp=now_ms, key=key, value=value, headers=headers) is not None:
                    return
                full.append((*place, batch))
            batch = building[place] = producer.create_batch()
            if batch.append(timestamp=now_ms, key=key, value=value, headers=headers) is None:
                raise TransactionFailed(f"a record for {place[0]} does not fit an empty batch")

        epoch_only = sealed.outbox.epoch_headers
        epoch = list(epoch_only)
        destinations = self._destinations
        for topic, partition, key, value, headers, _verdict in sealed.outbox.sends:
            destination = destinations.get(topic) or await self._destination(producer, topic)
            if partition is not None:
                add((destination.name, partition), key, value, list(headers))
                continue
            place = destination.known.get(key) or destination.place_of(key)
            add(place, key, value, epoch if headers is epoch_only else list(headers))
        own = (self._changelog, self._partition)
        for key, change in sealed.changes.items():
            add(own, key, change, epoch)
        full.extend((*place, batch) for place, batch in building.items())
        return full


class _Destination:
    """One output topic: its physical name, and the partition of each key."""

    def __init__(self, name: str, partitions: int) -> None:
        self.name = name
        self.known: dict[bytes, tuple[str, int]] = {}
        self._places = [(name, partition) for partition in range(partitions)]

    def place_of(self, key: bytes) -> tuple[str, int]:
        """Choose like Kafka's default partitioner. murmur2 is pure Python here, and keys recur: results are cached, within bounds."""
        if len(self.known) >= _KEYS_REMEMBERED:
            self.known.clear()
        count = len(self._places)
        place = self.known[key] = self._places[int(murmur2(key) & 0x7FFFFFFF) % count if count > 1 else 0]
        return place


class Transaction:
    """One producer's turn: fill, then commit (or abort), each once."""

    def __init__(self, turns: TakingTurns, producer: Any) -> None:
        self._turns = turns
        self._producer = producer
        self._begun = False

    async def fill(self, sealed: Sealed) -> None:
        """Begin, send everything, and wait until the broker has acknowledged every record.

        A commit could succeed after a failed produce: so this must return before `commit` is called.
        """
        try:
            async with asyncio.timeout(self._turns._tuning.commit_timeout):
                await self._producer.begin_transaction()
                self._begun = True
                acknowledged = [
                    await self._producer.send_batch(batch, topic, partition=partition)
                    for topic, partition, batch in await self._turns._grouped(self._producer, sealed)
                ]
                results = await asyncio.gather(*acknowledged, return_exceptions=True)
        except TimeoutError as error:
            raise TransactionFailed("the broker did not acknowledge the batch in time") from error
        except (BrokerError, OSError, AssertionError) as error:
            raise TransactionFailed(f"sending failed: {error!r}", fenced=isinstance(error, FENCED)) from error
        for result in results:
            if isinstance(result, BaseException):
                raise TransactionFailed(f"sending failed: {result!r}", fenced=isinstance(result, FENCED)) from result

    async def commit(self) -> None:
        """Commit and wait for the response. Its time-out never cancels it half-way: an unknown outcome is reported as such."""
        try:
            async with asyncio.timeout(self._turns._tuning.commit_timeout):
                await self._producer.commit_transaction()  # shields its own request
        except TimeoutError as error:
            raise TransactionFailed("the commit got no response in time", unknown=True) from error
        except (BrokerError, OSError, AssertionError) as error:
            fenced = isinstance(error, FENCED)
            raise TransactionFailed(f"commit failed: {error!r}", fenced=fenced, unknown=not fenced) from error

    async def abort(self) -> None:
        """Abort, best effort and bounded: readers need not wait for the transaction's time-out. The producer is discarded afterwards."""
        if not self._begun:
            return
        await close_all((("transaction", self._producer.abort_transaction),), self._turns._tuning.close_timeout)
