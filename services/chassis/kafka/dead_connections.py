"""Ends connections to brokers that have vanished without a word: a node that lost its power or its network sends no reset.

Without this, a client notices only when its request times out: after 10 to 40 s, and a waiting fetch of an idle reader last of all.
The kernel notices by itself: bytes that are not confirmed for six seconds, or three probes on an idle connection that are not answered.
A broker that is only slow confirms both. aiokafka has no setting for it; tests/contract/lane/test_dead_connections.py checks the effect.

A request on a connection that has just ended fails as aiokafka expects: with an OSError or its own error. uvloop raises RuntimeError until
the connection's reader has noticed the end, which no client expects, so that it would end the process.
"""

import socket
from functools import wraps
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

IDLE_S: Final = 3
PROBE_S: Final = 1
PROBES: Final = 3
UNCONFIRMED_MS: Final = 1000 * (IDLE_S + PROBE_S * PROBES)
_OPTIONS: Final = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", IDLE_S),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", PROBE_S),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", PROBES),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", UNCONFIRMED_MS),
)
"""By name: systems other than Linux lack some of them."""


def notice_dead_brokers() -> None:
    """Do both for each connection of aiokafka. Raises AttributeError if aiokafka lacks the names."""
    if not hasattr(AIOKafkaConnection.connect, "__wrapped__"):
        AIOKafkaConnection.connect = _watched(AIOKafkaConnection.connect)
        AIOKafkaConnection.send = _failing_as_expected(AIOKafkaConnection.send)


def _watched(connect: Any) -> Any:
    @wraps(connect)
    async def watch(connection: Any) -> Any:
        streams = await connect(connection)
        opened = connection._writer.get_extra_info("socket")
        for level, name, value in _OPTIONS:
            if (option := getattr(socket, name, None)) is not None:
                opened.setsockopt(level, option, value)
        return streams

    return watch


def _failing_as_expected(send: Any) -> Any:
    @wraps(send)
    def request(connection: Any, *given: Any, **options: Any) -> Any:
        try:
            return send(connection, *given, **options)
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"the connection to {connection.host}:{connection.port} has ended") from error

    return request
