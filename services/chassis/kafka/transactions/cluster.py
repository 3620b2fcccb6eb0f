"""Finds leaders and coordinators and asks them, over the connections of one aiokafka client.

Transactions use two connections a broker: one for records, one for the coordinator's requests. A broker answers the
requests of one connection in order, so a commit would wait behind the records of the next transaction.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, Self, TypeVar

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, LeaderNotAvailableError, for_code
from aiokafka.protocol.offset import OffsetRequest

from services.chassis.kafka.clients import KafkaAccess, prepare_library
from services.chassis.kafka.closing import close_all
from services.chassis.kafka.transactions.contents import Place
from services.chassis.kafka.transactions.requests import FeaturesRequest, OwnRequest, ResponseMalformed
from services.chassis.kafka.transactions.verdicts import Verdict, verdict_of

R = TypeVar("R")

UNREACHABLE: Final = (KafkaError, OSError, TimeoutError)
"""What `ask` and its neighbours raise when the other side is not to be had now."""
_EARLIEST: Final = -2
_LATEST: Final = -1
_V2: Final = 2


class BrokerTimes(Protocol):
    """Learns what time a broker had when it appended a record."""

    @property
    def steady_ms(self) -> float:
        """A monotonic clock, in milliseconds."""

    def appended(self, broker: int, at_ms: int, sent: float, received: float) -> None:
        """A broker appended a record at `at_ms` of its clock, between two instants of `steady_ms`."""

    def committed(self, at_ms: int) -> None:
        """A lane, perhaps of another process, has committed this time."""


class NoBrokerTimes:
    """Learns nothing."""

    steady_ms = 0.0

    def appended(self, broker: int, at_ms: int, sent: float, received: float) -> None: ...
    def committed(self, at_ms: int) -> None: ...


NO_BROKER_TIMES: Final = NoBrokerTimes()


class _Client(AIOKafkaClient):  # type: ignore[misc] # aiokafka has no types
    """Counts the connections that were closed, whatever the reason."""

    closed = 0

    def _on_connection_closed(self, conn: Any, reason: Any) -> None:
        self.closed += 1
        super()._on_connection_closed(conn, reason)


class Cluster:
    """The brokers, as one process sees them. Use as an async context manager."""

    def __init__(
        self,
        kafka: KafkaAccess,
        *,
        client_id: str,
        request_timeout_ms: int,
        close_timeout: float,
        times: BrokerTimes = NO_BROKER_TIMES,
    ) -> None:
        prepare_library()
        self._client: Any = _Client(
            **kafka.client_options(), client_id=client_id, request_timeout_ms=request_timeout_ms, retry_backoff_ms=50
        )
        self._close_timeout = close_timeout
        self.times = times
        self.closed = False
        """A lane may still be taking over with these connections when another one has replaced the writer."""
        self._coordinators: dict[str, int] = {}
        self.request_timeout_ms = request_timeout_ms
        self.v2 = False
        """Whether the cluster has version 2 of transactions (KIP-890)."""

    @property
    def connections_closed(self) -> int:
        """The number of connections that were closed so far: as long as it is the same, no broker was restarted."""
        return int(self._client.closed)

    async def __aenter__(self) -> Self:
        try:
            await self._client.bootstrap()
            features = await self.ask(self._any_node(), FeaturesRequest())
            if verdict_of(features.error) is not Verdict.DONE:
                raise KafkaError(f"features of the cluster: error {features.error}")
            self.v2 = features.transaction_version >= _V2
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True
        await close_all((("connections of a writer", self._client.close),), self._close_timeout)

    async def ask(self, node: int, request: OwnRequest[R], *, coordination: bool = False) -> R:
        """Send a request to a broker; return its response. Raises one of UNREACHABLE, also when the response cannot be read."""
        group = ConnectionGroup.COORDINATION if coordination else ConnectionGroup.DEFAULT
        with self._connected():
            answer: R | ResponseMalformed = await self._client.send(node, request, group=group)
        if isinstance(answer, ResponseMalformed):
            raise answer
        return answer

    async def partitions_of(self, topic: str) -> int:
        """Return the number of partitions of a topic (physical name). Raises one of UNREACHABLE if there is no such topic."""
        with self._connected():
            return len(await self._client._wait_on_metadata(topic))

    async def leader_of(self, place: Place) -> int | None:
        """Return the leader of a partition; None while it has none."""
        if (leader := self._leader(place)) is None:
            with self._connected():  # a few looks: other partitions must not wait for a topic that is not there
                await self._client.add_topic(place[0])
                # The topic may have been known before its leader was; and the first answer may be to a question that was
                # asked before another caller added the topic.
                for _ in range(2):
                    if self._leader(place) is not None:
                        break
                    await self._client.force_metadata_update()
            leader = self._leader(place)
        return leader

    def _leader(self, place: Place) -> int | None:
        leader = self._client.cluster.leader_for_partition(TopicPartition(*place))
        return None if leader is None or leader < 0 else int(leader)

    async def refresh(self) -> None:
        """Read the metadata again."""
        with self._connected():
            await self._client.force_metadata_update()

    async def coordinator_of(self, transactional_id: str) -> int:
        """Return the coordinator of a transactional id. Raises one of UNREACHABLE."""
        known = self._coordinators.get(transactional_id)
        if known is None:
            with self._connected():
                found = await self._client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
            known = self._coordinators[transactional_id] = int(found)
        return known

    def forget_coordinator(self, transactional_id: str) -> None:
        """Look the coordinator up again at the next request."""
        self._coordinators.pop(transactional_id, None)

    async def end_of(self, place: Place, *, committed: bool) -> int:
        """Return the end of a partition: of what `read_committed` readers see, or of everything. Raises one of UNREACHABLE."""
        return (await self.ends((place,), committed=committed))[place]

    async def ends(self, places: Iterable[Place], *, committed: bool) -> dict[Place, int]:
        """Return the ends of some partitions, as `end_of` does, with one request to each leader."""
        return await self._offsets(places, _LATEST, committed=committed)

    async def begin_of(self, place: Place) -> int:
        """Return the offset of the first record that a partition still has. Raises one of UNREACHABLE."""
        return (await self._offsets((place,), _EARLIEST, committed=True))[place]

    async def _offsets(self, places: Iterable[Place], of: int, *, committed: bool) -> dict[Place, int]:
        found: dict[Place, int] = {}
        for leader, topics in (await self.by_leader(places)).items():
            wanted = [(topic, [(each, of) for each in partitions]) for topic, partitions in topics.items()]
            with self._connected():
                answer = await self._client.send(leader, OffsetRequest(-1, int(committed), wanted))
            for topic, partitions in answer.topics:
                for partition, error, _, offset, *_ in partitions:
                    if error:
                        await self.refresh()  # perhaps the leader has moved: the next question finds it
                        raise for_code(error)(f"offset of {topic}/{partition}")
                    found[topic, partition] = int(offset)
        return found

    async def by_leader(self, places: Iterable[Place]) -> dict[int, dict[str, list[int]]]:
        """Return some partitions by leader and topic. Raises one of UNREACHABLE if one has no leader."""
        found: dict[int, dict[str, list[int]]] = {}
        for topic, partition in places:
            leader = await self.leader_of((topic, partition))
            if leader is None:
                raise LeaderNotAvailableError(f"{topic}/{partition}")
            found.setdefault(leader, {}).setdefault(topic, []).append(partition)
        return found

    async def places_of(self, prefix: str) -> list[Place]:
        """Return all partitions of the topics whose names begin with a prefix, without Kafka's own. Raises one of UNREACHABLE."""
        with self._connected():
            all_ = await self._client.fetch_all_metadata()
            topics = [topic for topic in all_.topics() if topic.startswith(prefix) and not topic.startswith("__")]
            await self._client.set_topics(topics)  # so that their leaders are known with one more request
        return sorted((topic, each) for topic in topics for each in all_.partitions_for_topic(topic) or ())

    def brokers(self) -> list[int]:
        """Return the ids of the brokers that are known."""
        return sorted(int(each.nodeId) for each in self._client.cluster.brokers())

    async def until_visible(self, place: Place, within: float) -> bool:
        """Wait until `read_committed` readers see everything that is in a partition now; return whether that is so in time."""
        end: int | None = None
        try:
            async with asyncio.timeout(within):
                while True:
                    try:
                        if end is None:
                            end = await self.end_of(place, committed=False)
                        if await self.end_of(place, committed=True) >= end:
                            return True
                    except UNREACHABLE:  # perhaps the leader has moved
                        await self.refresh()
                    await asyncio.sleep(_LOOK_AGAIN)
        except UNREACHABLE:
            return False

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Around each use of the client: a closed one would open connections that are never closed."""
        if self.closed:
            raise KafkaError("the connections are closed")
        try:
            yield
        except KeyError as error:  # a connection was closed between two steps of the client
            raise KafkaError("a connection was closed") from error

    def _any_node(self) -> int:
        node = self._client.get_random_node()
        if node is None:
            raise KafkaError("the cluster has named no broker")
        return int(node)


_LOOK_AGAIN: Final = 0.002
