"""The record batches of one transaction: what several lanes have ready, by partition, in the order of the lanes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.partitioning import Partitioner
from services.chassis.kafka.transactions.requests import Identity

_MAGIC: Final = 2
_UNCOMPRESSED: Final = 0

Place = tuple[str, int]
"""A topic (physical name) and a partition."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """The part of one lane in a transaction. `changes`: entries of its changelog, with the position among them."""

    outbox: BatchOutbox
    changes: Mapping[bytes, bytes | None]
    now_ms: int
    changelog: Place


class RecordBatch(NamedTuple):
    """A batch that is not yet encoded, and how many records it has."""

    builder: Any
    records: int

    def encode(self, identity: Identity, sequence: int) -> bytes:
        """Return its bytes. Once only."""
        self.builder.set_producer_state(identity.producer_id, identity.epoch, sequence)
        return bytes(self.builder.build())


class TopicPartitions:
    """The partitions of the topics that lanes write, and the partition of each key."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._places: dict[str, list[Place]] = {}
        self._partitioner = Partitioner()

    def unknown(self, parts: Iterable[Sealed]) -> set[str]:
        """Return the topics (logical names) whose number of partitions is not known."""
        return {send[0] for sealed in parts for send in sealed.outbox.sends} - self._places.keys()

    def physical(self, topic: str) -> str:
        """Return the name of a topic in the cluster."""
        return self._prefix + topic

    def set_count(self, topic: str, partitions: int) -> None:
        """Set the number of partitions of a topic (logical name)."""
        name = self.physical(topic)
        self._places[topic] = [(name, partition) for partition in range(partitions)]

    def at(self, topic: str, partition: int) -> Place:
        """Return a partition that the sender has chosen."""
        return self.physical(topic), partition

    def of_key(self, topic: str, key: bytes) -> Place:
        """Return the partition of a key."""
        places = self._places[topic]
        return places[self._partitioner.of(key, len(places))]


class Contents:
    """Collects the parts of one transaction. `batches`: per partition, in order."""

    def __init__(self, partitions: TopicPartitions, max_batch_bytes: int) -> None:
        self.batches: dict[Place, list[RecordBatch]] = {}
        self.writers: dict[Place, set[int]] = {}
        """Which parts, by their number, have records in a partition."""
        self._partitions = partitions
        self._max_batch_bytes = max_batch_bytes
        self._building: dict[Place, tuple[Any, int]] = {}
        self._parts = 0

    def add(self, sealed: Sealed) -> None:
        """Add one lane's part. The changelog comes last."""
        number, self._parts = self._parts, self._parts + 1
        partitions, now_ms, append = self._partitions, sealed.now_ms, self._append
        epoch_only = sealed.outbox.epoch_headers
        epoch = list(epoch_only)
        of_key, writers = partitions.of_key, self.writers
        for topic, partition, key, value, headers, _verdict in sealed.outbox.sends:
            place = of_key(topic, key) if partition is None else partitions.at(topic, partition)
            append(place, now_ms, key, value, epoch if headers is epoch_only else list(headers))
            writers.setdefault(place, set()).add(number)
        for key, change in sealed.changes.items():
            append(sealed.changelog, now_ms, key, change, epoch)
        writers.setdefault(sealed.changelog, set()).add(number)

    def close(self) -> None:
        """End the last batch of each partition."""
        for place, (builder, records) in self._building.items():
            self.batches.setdefault(place, []).append(RecordBatch(builder, records))
        self._building.clear()

    def _append(
        self, place: Place, now_ms: int, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        builder, records = self._building.get(place) or (self._new_builder(), 0)
        if builder.append(records, now_ms, key, value, headers) is None:
            self.batches.setdefault(place, []).append(RecordBatch(builder, records))
            builder, records = self._new_builder(), 0
            # The outbox has checked the size of every record: it fits an empty batch.
            if builder.append(records, now_ms, key, value, headers) is None:
                raise ValueError(f"a record for {place[0]} does not fit an empty batch")
        self._building[place] = builder, records + 1

    def _new_builder(self) -> Any:
        return DefaultRecordBatchBuilder(_MAGIC, _UNCOMPRESSED, 1, -1, -1, 0, self._max_batch_bytes)
