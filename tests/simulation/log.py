"""The simulated log: topics with partitions, records that stay, transactions that are visible as a whole."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from services.chassis.kafka.outbox import Send
from services.chassis.kafka.partitioning import Partitioner
from services.chassis.kafka.records import Headers, Record

PARTITIONS: Final = 2
"""Of every topic: the order of two partitions is the scheduler's choice."""


class SimulatedLog:
    """Every record of a run, by partition and in the order in which they were written."""

    def __init__(self, partitioner: Partitioner, written: Callable[[Record], None]) -> None:
        """`written`: called with each new record."""
        self.records: list[Record] = []
        self._partitioner = partitioner
        self._written = written
        self._partitions: dict[tuple[str, int], list[Record]] = {}

    def append(
        self, topic: str, key: bytes, value: bytes, headers: Headers, now_ms: int, partition: int | None = None
    ) -> Record:
        """Write one record. Without `partition`, the key chooses. `now_ms` is the writer's clock."""
        at = self._partitioner.of(key, PARTITIONS) if partition is None else partition
        place = self.partition(topic, at)
        record = Record(topic, at, len(place), now_ms, key, value, headers)
        place.append(record)
        self.records.append(record)
        self._written(record)
        return record

    def append_all(self, sends: Iterable[Send], now_ms: int) -> None:
        """Write the outputs of a transaction."""
        for send in sends:
            self.append(send.topic, send.key, send.value, send.headers, now_ms, send.partition)

    def partition_of(self, key: bytes) -> int:
        """Return the partition that a key chooses."""
        return self._partitioner.of(key, PARTITIONS)

    def partition(self, topic: str, number: int) -> list[Record]:
        """Return the records of one partition: offsets are indexes."""
        place = self._partitions.get((topic, number))
        if place is None:
            place = self._partitions[topic, number] = []
        return place

    def of(self, topic: str) -> Iterator[Record]:
        """Yield the records of a topic in the order in which they were written."""
        return (record for record in self.records if record.topic == topic)

    def digest(self) -> str:
        """Return the SHA-256 over every field of every record, in order."""
        found = hashlib.sha256()
        for record in self.records:
            found.update(repr(record).encode())
        return found.hexdigest()
