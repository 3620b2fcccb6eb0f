"""A broker whose requests are counted: an embedded broker, and a proxy that counts what passes through it.

The broker has two addresses. Clients that begin at the first one reach it directly; clients that begin at the second
one learn from its metadata that the broker is at the proxy's address, and send everything through the proxy. Only the
header of a request is read: its kind.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from services.chassis.kafka_settings import KafkaSettings
from services.cli.local.broker.embedded import EmbeddedBroker
from services.cli.local.broker.ports import free_port
from services.cli.local.broker.properties import TEMPLATE
from services.cli.local.broker.settings import BrokerSettings
from tests.bench.stand import a_home, a_prefix
from tests.fixtures.second_address import with_second_address

KINDS: Final = {
    0: "Produce",
    1: "Fetch",
    2: "ListOffsets",
    3: "Metadata",
    8: "OffsetCommit",
    9: "OffsetFetch",
    10: "FindCoordinator",
    11: "JoinGroup",
    12: "Heartbeat",
    14: "SyncGroup",
    18: "ApiVersions",
    22: "InitProducerId",
    24: "AddPartitionsToTxn",
    25: "AddOffsetsToTxn",
    26: "EndTxn",
    28: "TxnOffsetCommit",
}
_CHUNK: Final = 1 << 16
_LENGTH, _HEADER = 4, 6


class RequestReader:
    """Finds the requests in the bytes of one connection, however they are cut into pieces: each is four bytes with its
    length, then two with its kind."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._head = b""
        self._rest = 0

    def feed(self, piece: bytes) -> None:
        """Count the requests that begin in this piece."""
        while piece:
            if self._rest:
                skipped = min(self._rest, len(piece))
                self._rest -= skipped
                piece = piece[skipped:]
                continue
            missing = _HEADER - len(self._head)
            self._head, piece = self._head + piece[:missing], piece[missing:]
            if len(self._head) == _HEADER:
                length, kind = int.from_bytes(self._head[:_LENGTH]), int.from_bytes(self._head[_LENGTH:])
                self._counts[KINDS.get(kind, f"kind {kind}")] += 1
                self._head, self._rest = b"", length - (_HEADER - _LENGTH)


@dataclass(frozen=True, slots=True)
class CountedBroker:
    """The two ways to one broker."""

    direct: KafkaSettings
    counted: KafkaSettings
    counts: Counter[str]
    """The number of requests so far that came through the proxy, by kind."""


@asynccontextmanager
async def a_counted_broker() -> AsyncIterator[CountedBroker]:
    """Run a broker and the proxy."""
    counts: Counter[str] = Counter()
    behind = free_port()
    async with _a_proxy(behind, counts) as proxy:
        with a_home() as home:
            template = home.directory("config") / "server.properties"
            template.write_text(with_second_address(TEMPLATE.read_text(), behind, proxy))
            async with EmbeddedBroker(BrokerSettings(home=home.home), template=template) as broker:
                yield CountedBroker(_settings(broker.bootstrap), _settings(f"127.0.0.1:{proxy}"), counts)


def _settings(bootstrap: str) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap_servers": bootstrap, "topic_prefix": a_prefix()})


@asynccontextmanager
async def _a_proxy(to: int, counts: Counter[str]) -> AsyncIterator[int]:
    """Pass connections on to the port `to`; yield the proxy's own port."""
    open_: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_.add(task)
        task.add_done_callback(open_.discard)
        await _connect(reader, writer, to, counts)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(open_):
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)
        await server.wait_closed()


async def _connect(
    from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter, to: int, counts: Counter[str]
) -> None:
    try:
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", to)
    except ConnectionError:  # not started yet, or stopped: the client sees a closed connection, and tries again
        to_client.close()
        return
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_pass(from_client, to_broker, RequestReader(counts)))
        tasks.create_task(_pass(from_broker, to_client, None))


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter, requests: RequestReader | None) -> None:
    """Pass bytes on until either end closes."""
    with suppress(ConnectionError):
        try:
            while piece := await source.read(_CHUNK):
                if requests is not None:
                    requests.feed(piece)
                target.write(piece)
                await target.drain()
        finally:
            target.close()
