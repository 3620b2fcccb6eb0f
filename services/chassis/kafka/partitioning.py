"""The partition of a key: the choice of Kafka's default partitioner, so that every client of the cluster agrees."""

from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

_POSITIVE: Final = 0x7FFFFFFF
_KEYS_REMEMBERED: Final = 20_000


def partition_of(key: bytes, partitions: int) -> int:
    """Return the number of a key's partition."""
    return _hash(key) % partitions if partitions > 1 else 0


class Partitioner:
    """The same for a writer with many records: murmur2 is pure Python (4 us a key), and keys recur. Bounded."""

    def __init__(self) -> None:
        self._hash = lru_cache(_KEYS_REMEMBERED)(_hash)

    def of(self, key: bytes, partitions: int) -> int:
        """Return the number of a key's partition."""
        return self._hash(key) % partitions if partitions > 1 else 0


def _hash(key: bytes) -> int:
    return int(murmur2(key)) & _POSITIVE
