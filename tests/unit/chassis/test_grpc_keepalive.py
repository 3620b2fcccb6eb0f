"""A server permits the pings by which our clients find out that a connection is dead."""

import asyncio

import grpc

from services.chassis.grpc.server import server_options
from services.router.settings import RouterSettings

_PINGS_S = 1
_ALLOWED = {"grpc.http2.min_ping_interval_without_data_ms": 500}
"""Faster than in production, as the client here: what counts is which pings are permitted."""


async def test_an_idle_client_may_ping() -> None:
    """Without the permission, the server closes the connection at the third ping: after four seconds."""
    settings = RouterSettings.load(env={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "CHAPAR_ROUTER_INSECURE_DEV": "true"})
    server = grpc.aio.server(options=[*{**dict(server_options(settings)), **_ALLOWED}.items()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = (
        ("grpc.keepalive_time_ms", _PINGS_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            await channel.channel_ready()
            changes = asyncio.create_task(channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
            done, _ = await asyncio.wait({changes}, timeout=6 * _PINGS_S)
            changes.cancel()
            assert not done
            assert channel.get_state() is grpc.ChannelConnectivity.READY
    finally:
        await server.stop(None)
