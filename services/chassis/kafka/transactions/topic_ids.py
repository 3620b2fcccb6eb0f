"""The ids of topics: a topic that is deleted and created again has another one (KIP-516).

aiokafka asks for the first versions of Metadata, which have no ids. Brokers answer this version from 3.1 on.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError

from services.chassis.kafka.transactions.requests import OwnRequest, ResponseMalformed
from services.chassis.kafka.transactions.wire import NO_TAGS, Reader, array_head, string

_NONE: Final = UUID(int=0)
_NO_CREATION: Final = b"\x00"
_NO_RIGHTS: Final = b"\x00"


class TopicIdsRequest(OwnRequest[dict[str, str]]):
    """Metadata of some topics (physical names): their ids, as hexadecimal digits. Topics without one are left out."""

    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        named = [_NONE.bytes + string(topic) + NO_TAGS for topic in topics]
        super().__init__(12, 12, array_head(len(named)) + b"".join(named) + _NO_CREATION + _NO_RIGHTS + NO_TAGS)

    def _read(self, reader: Reader) -> dict[str, str]:
        reader.int32()  # throttle time
        reader.array(_broker)
        reader.string()  # id of the cluster
        reader.int32()  # controller
        return {name: found.hex for name, found in reader.array(_topic) if found != _NONE}


def _broker(reader: Reader) -> None:
    reader.int32()
    reader.string()  # host
    reader.int32()  # port
    reader.string()  # rack
    reader.tags()


def _topic(reader: Reader) -> tuple[str, UUID]:
    error, name, found = reader.int16(), reader.string() or "", reader.uuid()
    reader.boolean()  # whether it is internal
    reader.array(_partition)
    reader.int32()  # rights
    reader.tags()
    return name, _NONE if error else found


def _partition(reader: Reader) -> None:
    reader.int16()  # error
    for _ in ("partition", "leader", "epoch of the leader"):
        reader.int32()
    for _ in ("replicas", "replicas in sync", "replicas offline"):
        reader.array(Reader.int32)
    reader.tags()


async def topic_ids(client: Any, topics: Sequence[str]) -> Mapping[str, str]:
    """Return the ids of topics by name (physical names), over the connections of an aiokafka client.

    Topics that do not exist now are left out; the ids are empty if the broker has none. Raises aiokafka's KafkaError, or an OSError.
    """
    node = client.get_random_node()
    if node is None:
        raise KafkaError("the cluster has named no broker")
    try:
        answer: dict[str, str] | ResponseMalformed = await client.send(node, TopicIdsRequest(topics))
    except IncompatibleBrokerVersion:
        return dict.fromkeys(topics, "")
    except KeyError as error:  # a connection was closed between two steps of the client
        raise KafkaError("a connection was closed") from error
    if isinstance(answer, ResponseMalformed):
        raise answer
    return answer
