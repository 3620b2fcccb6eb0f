"""What the coordinators recorded about transactions: the records of the topic `__transaction_state`.

A coordinator answers about the newest transaction of an id only. Its log also has the earlier ones, until compaction. For
example: a commit was decided, its markers were lost, and then the id was initialised again. The coordinator knows an id
without a transaction; the log still has the decision and the partitions that it was for.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from services.chassis.kafka.transactions.contents import Place
from services.chassis.kafka.transactions.wire import Malformed, Reader

TOPIC: Final = "__transaction_state"
_FLEXIBLE: Final = 1
_CLIENT_VERSION: Final = 2
"""The tag of the field with the version of the protocol that the client used."""
_INT16: Final = struct.Struct(">h")


class Status(IntEnum):
    """The state of a transaction, as Kafka's `TransactionState` numbers them."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    PREPARE_EPOCH_FENCE = 7


class Logged(NamedTuple):
    """One record: the state of a transactional id at one instant."""

    transactional_id: str
    producer_id: int
    epoch: int
    status: Status
    places: frozenset[Place]
    updated_ms: int
    v2: bool
    """Whether the client uses version 2 of transactions, in which each transaction has an epoch of its own."""


def decode_logged(key: bytes, value: bytes) -> Logged | None:
    """Decode a record; None for a record of another kind. Raises Malformed."""
    reader = Reader(key)
    if reader.int16() != 0:
        return None
    name = reader.short_string()
    reader = Reader(value)
    version = reader.int16()
    if version > _FLEXIBLE:
        raise Malformed(f"version {version} of a transaction's record is not known")
    flexible = version == _FLEXIBLE
    producer_id, epoch = reader.int64(), reader.int16()
    reader.int32()  # time-out
    try:
        status = Status(reader.int8())
    except ValueError as error:
        raise Malformed("a transaction is in an unknown state") from error
    topics = reader.array(_flexible_topic) if flexible else reader.long_array(_topic)
    updated_ms = reader.int64()
    reader.int64()  # when it began
    client = reader.tags().get(_CLIENT_VERSION, b"") if flexible else b""
    v2 = len(client) == _INT16.size and _INT16.unpack(client)[0] > 1
    return Logged(name, producer_id, epoch, status, frozenset(_flat(topics)), updated_ms, v2)


def _flexible_topic(reader: Reader) -> list[Place]:
    topic = reader.string() or ""
    found = [(topic, partition) for partition in reader.array(Reader.int32)]
    reader.tags()
    return found


def _topic(reader: Reader) -> list[Place]:
    topic = reader.short_string()
    return [(topic, partition) for partition in reader.long_array(Reader.int32)]


def _flat(topics: Iterable[list[Place]]) -> Iterable[Place]:
    return (place for topic in topics for place in topic)
