"""The requests about transactions of other processes: which are open, what their coordinator knows, and the markers that end them.

Brokers answer all four from Kafka 3.0 on. Field by field: https://kafka.apache.org/protocol#protocol_messages
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from services.chassis.kafka.transactions.contents import Place
from services.chassis.kafka.transactions.requests import Errors, Identity, OwnRequest, Places
from services.chassis.kafka.transactions.wire import NO_TAGS, Reader, array_head, string


class ActiveProducer(NamedTuple):
    """A producer that a partition knows. `first_offset`: of its open transaction; negative when it has none."""

    producer_id: int
    epoch: int
    last_ms: int
    """The time of its last record batch."""
    coordinator_epoch: int
    """Of the last marker that it got here; negative when it got none."""
    first_offset: int


class ProducersOf(NamedTuple):
    """What a leader knows of one partition's producers."""

    error: int
    producers: tuple[ActiveProducer, ...]


class DescribeProducers(OwnRequest[dict[Place, ProducersOf]]):
    """Ask the leader of some partitions (physical names) for their producers."""

    API_KEY = 61

    def __init__(self, places: Places) -> None:
        super().__init__(0, 0, _topics(places) + NO_TAGS)

    def _read(self, reader: Reader) -> dict[Place, ProducersOf]:
        reader.int32()  # throttle time
        return dict(each for topic in reader.array(_topic_producers) for each in topic)


def _topic_producers(reader: Reader) -> list[tuple[Place, ProducersOf]]:
    topic = reader.string() or ""
    found = [((topic, partition), producers) for partition, producers in reader.array(_partition_producers)]
    reader.tags()
    return found


def _partition_producers(reader: Reader) -> tuple[int, ProducersOf]:
    partition, error = reader.int32(), reader.int16()
    reader.string()  # the broker's words
    found = ProducersOf(error, tuple(reader.array(_producer)))
    reader.tags()
    return partition, found


def _producer(reader: Reader) -> ActiveProducer:
    producer_id, epoch = reader.int64(), reader.int32()
    reader.int32()  # last sequence number
    found = ActiveProducer(producer_id, epoch, reader.int64(), reader.int32(), reader.int64())
    reader.tags()
    return found


class Listed(NamedTuple):
    """A transactional id that a broker coordinates, and the id of its producer."""

    transactional_id: str
    producer_id: int


class ListedTransactions(NamedTuple):
    """The response to ListTransactions."""

    error: int
    listed: tuple[Listed, ...]


class ListTransactions(OwnRequest[ListedTransactions]):
    """Ask one broker which transactional ids of some producers it coordinates; of all producers when `producer_ids` is empty."""

    API_KEY = 66

    def __init__(self, producer_ids: Sequence[int] = (), states: Sequence[str] = ()) -> None:
        """`states`: only ids in these states, by the protocol's names; empty: in any."""
        wanted = array_head(len(states)) + b"".join(map(string, states))
        ids = array_head(len(producer_ids)) + struct.pack(f">{len(producer_ids)}q", *producer_ids)
        super().__init__(0, 0, wanted + ids + NO_TAGS)

    def _read(self, reader: Reader) -> ListedTransactions:
        reader.int32()  # throttle time
        error = reader.int16()
        reader.array(Reader.string)  # states that the broker does not know
        return ListedTransactions(error, tuple(reader.array(_listed)))


def _listed(reader: Reader) -> Listed:
    found = Listed(reader.string() or "", reader.int64())
    reader.string()  # its state: DescribeTransactions says more
    reader.tags()
    return found


class Described(NamedTuple):
    """What the coordinator knows of a transactional id. `places`: the partitions of the transaction that has not ended."""

    error: int
    transactional_id: str
    state: str
    """The protocol's name: Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort, Dead or PrepareEpochFence."""
    identity: Identity
    places: frozenset[Place]


class DescribeTransactions(OwnRequest[list[Described]]):
    """Ask the coordinator of some transactional ids what it knows of them."""

    API_KEY = 65

    def __init__(self, transactional_ids: Sequence[str]) -> None:
        super().__init__(0, 0, array_head(len(transactional_ids)) + b"".join(map(string, transactional_ids)) + NO_TAGS)

    def _read(self, reader: Reader) -> list[Described]:
        reader.int32()  # throttle time
        return reader.array(_described)


def _described(reader: Reader) -> Described:
    error, name, state = reader.int16(), reader.string() or "", reader.string() or ""
    reader.int32()  # time-out
    reader.int64()  # when it began
    identity = Identity(reader.int64(), reader.int16())
    places = frozenset(each for topic in reader.array(_described_topic) for each in topic)
    reader.tags()
    return Described(error, name, state, identity, places)


def _described_topic(reader: Reader) -> list[Place]:
    topic = reader.string() or ""
    found = [(topic, partition) for partition in reader.array(Reader.int32)]
    reader.tags()
    return found


class WriteTxnMarkers(OwnRequest[Errors]):
    """End the open transaction of one producer in some partitions of one leader. Needs the right CLUSTER_ACTION on the cluster.

    This is the request of a coordinator: nothing checks that it agrees with what the coordinator recorded.
    """

    API_KEY = 27

    def __init__(self, identity: Identity, coordinator_epoch: int, places: Places, *, commit: bool) -> None:
        marker = identity.encoded() + (b"\x01" if commit else b"\x00") + _topics(places)
        super().__init__(1, 1, array_head(1) + marker + struct.pack(">i", coordinator_epoch) + NO_TAGS + NO_TAGS)

    def _read(self, reader: Reader) -> Errors:
        return dict(each for marker in reader.array(_marker_errors) for each in marker)


def _marker_errors(reader: Reader) -> list[tuple[Place, int]]:
    reader.int64()  # producer id
    found = [each for topic in reader.array(_topic_errors) for each in topic]
    reader.tags()
    return found


def _topic_errors(reader: Reader) -> list[tuple[Place, int]]:
    topic = reader.string() or ""
    found = [((topic, partition), error) for partition, error in reader.array(_partition_error)]
    reader.tags()
    return found


def _partition_error(reader: Reader) -> tuple[int, int]:
    found = reader.int32(), reader.int16()
    reader.tags()
    return found


def _topics(places: Places) -> bytes:
    parts = [array_head(len(places))]
    for topic, partitions in places.items():
        numbers = struct.pack(f">{len(partitions)}i", *partitions)
        parts += (string(topic), array_head(len(partitions)), numbers, NO_TAGS)
    return b"".join(parts)
