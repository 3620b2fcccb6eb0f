"""Each connection to a broker ends by itself when the broker has vanished. Real Kafka only."""

import socket
import sys
from typing import Any

import pytest

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
