"""The requests of a transaction, in the versions of KIP-890 (`v2`) and in the newest before it.

Each is a `Request` for aiokafka's connections, which ask for `prepare`, a header, `encode` and a type that decodes the
response. Field by field: https://kafka.apache.org/protocol#protocol_messages
"""

import struct
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.api import RequestHeader_v2, ResponseHeader_v0, ResponseHeader_v1

from services.chassis.build import version
from services.chassis.kafka.transactions.wire import NO_TAGS, Malformed, Reader, array_head, string, varint

R = TypeVar("R")

Versions = Mapping[int, tuple[int, int]]
"""Per API key the least and the newest version that a broker takes."""

_ALL_REPLICAS: Final = b"\xff\xff"
_UNKNOWN: Final = (-1, -1)


class Identity(NamedTuple):
    """The id and epoch under which a producer writes."""

    producer_id: int
    epoch: int

    def encoded(self) -> bytes:
        """Return both as a request contains them."""
        return struct.pack(">qh", self.producer_id, self.epoch)


NOBODY: Final = Identity(-1, -1)
"""Stands for a producer that has no identity yet."""


class ResponseMalformed(KafkaError):  # type: ignore[misc]  # noqa: N818 - reads as what happened; aiokafka has no types
    """A broker's response cannot be read: handled as a broken connection."""

    retriable = True


class OwnRequest(Generic[R]):
    """One request, ready to be sent. Implements what an aiokafka connection asks of a request."""

    API_KEY: ClassVar[int]
    _RESPONSE_HAS_TAGS: ClassVar[bool] = True

    def __init__(self, oldest: int, newest: int, body: bytes) -> None:
        """`body` is the same in all versions from `oldest` to `newest`."""
        self._oldest, self._newest = oldest, newest
        self._body = body
        self.API_VERSION = newest
        self.RESPONSE_TYPE = self  # the connection calls `RESPONSE_TYPE.decode`

    def prepare(self, versions: Versions) -> "OwnRequest[R]":
        """Choose the newest version that the broker takes. Raises IncompatibleBrokerVersion if it takes none."""
        least, newest = versions.get(self.API_KEY, _UNKNOWN)
        self.API_VERSION = min(self._newest, newest)
        if max(self._oldest, least) > self.API_VERSION:
            raise IncompatibleBrokerVersion(
                f"{type(self).__name__} {self._oldest} to {self._newest}: the broker takes {least} to {newest}"
            )
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> RequestHeader_v2:
        """Return the header."""
        return RequestHeader_v2(self, correlation_id=correlation_id, client_id=client_id)

    def parse_response_header(self, content: BytesIO) -> ResponseHeader_v0 | ResponseHeader_v1:
        """Read the header of the response."""
        return (ResponseHeader_v1 if self._RESPONSE_HAS_TAGS else ResponseHeader_v0).decode(content)

    def encode(self) -> bytes:
        """Return the request after its header."""
        return self._body

    def decode(self, content: BytesIO) -> "R | ResponseMalformed":
        """Read the response after its header. A response that cannot be read is returned as an error: an exception here
        would leave the connection with an answer that is never awaited."""
        try:
            return self._read(Reader(content.read()))
        except Malformed as error:
            return ResponseMalformed(f"{type(self).__name__}: {error}")

    def _read(self, reader: Reader) -> R:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(version={self.API_VERSION}, {len(self._body)} bytes)"


class Features(NamedTuple):
    """What a broker takes: its versions, and the version of transactions that the cluster has finalised."""

    error: int
    versions: Versions
    transaction_version: int


class FeaturesRequest(OwnRequest[Features]):
    """ApiVersions: which versions a broker takes, and which features the cluster has finalised."""

    API_KEY = 18
    _RESPONSE_HAS_TAGS = False  # so that a client of any age can read it
    _FINALIZED: Final = 2

    def __init__(self) -> None:
        super().__init__(3, 3, string("chapar") + string(version()) + NO_TAGS)

    def _read(self, reader: Reader) -> Features:
        error = reader.int16()
        versions = dict(reader.array(_version))
        reader.int32()  # throttle time
        finalized = reader.tags().get(self._FINALIZED)
        features = dict(Reader(finalized).array(_feature)) if finalized is not None else {}
        return Features(error, versions, features.get("transaction.version", 0))


def _version(reader: Reader) -> tuple[int, tuple[int, int]]:
    found = reader.int16(), (reader.int16(), reader.int16())
    reader.tags()
    return found


def _feature(reader: Reader) -> tuple[str | None, int]:
    name, newest, _least = reader.string(), reader.int16(), reader.int16()
    reader.tags()
    return name, newest


class Initialized(NamedTuple):
    """The response to InitProducerId."""

    error: int
    identity: Identity


class InitProducerId(OwnRequest[Initialized]):
    """Become the only holder of a transactional id: fences every other, and waits for the end of its last transaction.

    With the identity of an earlier response, only this holder's epoch is increased: PRODUCER_FENCED if there is another.
    """

    API_KEY = 22

    def __init__(self, transactional_id: str, timeout_ms: int, holder: Identity = NOBODY) -> None:
        body = string(transactional_id) + struct.pack(">i", timeout_ms) + holder.encoded() + NO_TAGS
        super().__init__(3, 5, body)

    def _read(self, reader: Reader) -> Initialized:
        reader.int32()  # throttle time
        return Initialized(reader.int16(), Identity(reader.int64(), reader.int16()))


Places = Mapping[str, Sequence[int]]
"""Partitions by topic (physical names)."""

Errors = dict[tuple[str, int], int]
"""Error code by topic and partition."""


class AddPartitions(OwnRequest[Errors]):
    """AddPartitionsToTxn: announces the partitions of a transaction. Version 2 of transactions does without it."""

    API_KEY = 24

    def __init__(self, transactional_id: str, identity: Identity, places: Places) -> None:
        parts = [string(transactional_id), identity.encoded(), array_head(len(places))]
        for topic, partitions in places.items():
            numbers = struct.pack(f">{len(partitions)}i", *partitions)
            parts += (string(topic), array_head(len(partitions)), numbers, NO_TAGS)
        super().__init__(3, 3, b"".join((*parts, NO_TAGS)))

    def _read(self, reader: Reader) -> Errors:
        reader.int32()  # throttle time
        return dict(each for topic in reader.array(_topic_errors) for each in topic)


def _topic_errors(reader: Reader) -> list[tuple[tuple[str, int], int]]:
    topic = reader.string() or ""
    found = [((topic, partition), error) for partition, error in reader.array(_partition_error)]
    reader.tags()
    return found


def _partition_error(reader: Reader) -> tuple[int, int]:
    found = reader.int32(), reader.int16()
    reader.tags()
    return found


class Produced(NamedTuple):
    """What became of one record batch."""

    error: int
    message: str
    """The broker's words, for the log."""
    appended_at_ms: int = -1
    """The broker's time of append, for topics that have it; -1 for others."""
    first_offset: int = -1
    """The offset of the batch's first record; -1 if the broker does not say."""


class Produce(OwnRequest[dict[tuple[str, int], Produced]]):
    """Append one record batch to each of some partitions that have one leader."""

    API_KEY = 0

    def __init__(
        self, transactional_id: str, batches: Mapping[str, Mapping[int, bytes]], timeout_ms: int, *, v2: bool
    ) -> None:
        head = string(transactional_id) + _ALL_REPLICAS + struct.pack(">i", timeout_ms)
        parts: list[Any] = [head, array_head(len(batches))]
        for topic, partitions in batches.items():
            parts += (string(topic), array_head(len(partitions)))
            for partition, batch in partitions.items():
                parts += (struct.pack(">i", partition), varint(len(batch) + 1), batch, NO_TAGS)
            parts.append(NO_TAGS)
        super().__init__(12 if v2 else 9, 12 if v2 else 11, b"".join((*parts, NO_TAGS)))

    def _read(self, reader: Reader) -> dict[tuple[str, int], Produced]:
        return dict(each for topic in reader.array(_topic_produced) for each in topic)


def _topic_produced(reader: Reader) -> list[tuple[tuple[str, int], Produced]]:
    topic = reader.string() or ""
    found = [((topic, partition), produced) for partition, produced in reader.array(_partition_produced)]
    reader.tags()
    return found


def _partition_produced(reader: Reader) -> tuple[int, Produced]:
    partition, error = reader.int32(), reader.int16()
    first_offset, appended_at_ms = reader.int64(), reader.int64()
    reader.int64()  # start of the log
    records = reader.array(_record_error)
    message = reader.string()
    reader.tags()
    return partition, Produced(
        error, message or next((text for text in records if text), ""), appended_at_ms, first_offset
    )


def _record_error(reader: Reader) -> str | None:
    reader.int32()  # its index in the batch
    message = reader.string()
    reader.tags()
    return message


class Ended(NamedTuple):
    """The response to EndTxn. `identity`: for the next transaction, if the version has one (v2)."""

    error: int
    identity: Identity | None


class EndTxn(OwnRequest[Ended]):
    """Commit or abort. The response comes when the decision is durable; readers see the markers a little later."""

    API_KEY = 26
    _V2: Final = 5

    def __init__(self, transactional_id: str, identity: Identity, *, commit: bool, v2: bool) -> None:
        body = string(transactional_id) + identity.encoded() + (b"\x01" if commit else b"\x00") + NO_TAGS
        super().__init__(self._V2 if v2 else 3, self._V2 if v2 else 4, body)

    def _read(self, reader: Reader) -> Ended:
        reader.int32()  # throttle time
        error = reader.int16()
        return Ended(error, Identity(reader.int64(), reader.int16()) if self.API_VERSION >= self._V2 else None)
