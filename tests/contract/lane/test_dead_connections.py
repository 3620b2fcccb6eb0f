"""Each connection to a broker ends by itself when the broker has vanished. Real Kafka only."""

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from services.chassis.kafka.clients import close_consumer, discard_producer, idempotent_producer, plain_reader
from services.chassis.kafka.dead_connections import IDLE_S, PROBE_S, PROBES, UNCONFIRMED_MS
from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.real import create_topics
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]


def watched(client: Any) -> list[tuple[int, ...]]:
    """Return the options of each open connection of an aiokafka client."""
    opened = [each._writer.get_extra_info("socket") for each in client._conns.values()]
    assert opened
    return [
        (
            each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            each.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            each.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
            each.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
            each.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        )
        for each in opened
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other options")
async def test_the_kernel_watches_every_connection(kafka: KafkaUnderTest, prefix: str) -> None:
    """Of a reader, of a producer, and of a lane's writer. With these values a vanished broker is noticed after six seconds."""
    settings: KafkaSettings = kafka.settings(prefix)
    await create_topics(settings, 1)
    wanted = (1, IDLE_S, PROBE_S, PROBES, UNCONFIRMED_MS)
    assert IDLE_S + PROBE_S * PROBES == UNCONFIRMED_MS / 1000 == 6
    reader = plain_reader(settings, client_id="reader")
    producer = idempotent_producer(
        settings, client_id="edge", request_timeout_ms=5_000, max_record_bytes=1000, linger_ms=0
    )
    try:
        await reader.start()
        await producer.start()
        async with Cluster(settings, client_id="writer", request_timeout_ms=5_000, close_timeout=3.0) as cluster:
            for client in (reader._client, producer.client, cluster._client):
                assert await client.force_metadata_update()
                assert set(watched(client)) == {wanted}
    finally:
        await close_consumer(reader, 3.0)
        await discard_producer(producer, 3.0)


def test_a_request_on_a_connection_that_has_just_ended_fails_as_aiokafka_expects(
    kafka: KafkaUnderTest, prefix: str
) -> None:
    """Under uvloop, on which the services run: a RuntimeError would end the process."""
    settings: KafkaSettings = kafka.settings(prefix)

    async def ended() -> None:
        reader = plain_reader(settings, client_id="reader")
        try:
            await reader.start()
            assert await reader._client.force_metadata_update()
            (connection,) = reader._client._conns.values()
            with pytest.raises(KafkaConnectionError, match="has ended"):
                await before_the_reader_notices(connection, lambda: connection.send(MetadataRequest([])))
            assert not connection.connected()
            assert await reader._client.force_metadata_update()
        finally:
            await close_consumer(reader, 3.0)

    uvloop.run(ended())


async def before_the_reader_notices(connection: Any, send: Callable[[], Any]) -> Any:
    """End the connection, and call `send` at the one moment at which its transport is closed and its reader does not know it."""
    loop, sent = asyncio.get_running_loop(), asyncio.Event()
    protocol, failure = connection._writer.transport.get_protocol(), []
    lost = protocol.connection_lost

    def send_now() -> None:
        try:
            send()
        except Exception as error:  # noqa: BLE001 - the caller looks at it
            failure.append(error)
        sent.set()

    def connection_lost(error: Exception | None) -> None:
        loop.call_soon(send_now)
        lost(error)

    protocol.connection_lost = connection_lost
    connection._writer.transport.abort()
    await sent.wait()
    for error in failure:
        raise error
