"""Closes the connection that aiokafka forgets when the start of a client is cancelled.

A client's first step connects to one of the given servers and asks for the cluster. If it is cancelled while it waits for the response, only a
local variable of that step refers to the connection, so neither `stop` nor `close` of the client can close it: the socket stays open until
the garbage collector runs. aiokafka has no setting for it; tests/contract/lane/test_abandoned.py checks the names and the effect.
"""

from contextvars import ContextVar
from functools import wraps
from typing import Any, Final

import aiokafka.client

_opened: Final[ContextVar[list[Any] | None]] = ContextVar("opened by the current bootstrap", default=None)


def close_abandoned() -> None:
    """Make every client close its first connection if its start fails or is cancelled. Raises AttributeError if aiokafka lacks the names."""
    client: Any = aiokafka.client
    if hasattr(client.create_conn, "__wrapped__"):
        return
    client.create_conn = _remembering(client.create_conn)
    client.AIOKafkaClient.bootstrap = _closing(client.AIOKafkaClient.bootstrap)


def _remembering(create_conn: Any) -> Any:
    @wraps(create_conn)
    async def remember(*place: Any, **options: Any) -> Any:
        connection = await create_conn(*place, **options)
        opened = _opened.get()
        # The client keeps all its connections but the first, and gets a callback when one of those is closed.
        if opened is not None and "on_close" not in options:
            opened.append(connection)
        return connection

    return remember


def _closing(bootstrap: Any) -> Any:
    @wraps(bootstrap)
    async def close_on_failure(client: Any) -> None:
        opened: list[Any] = []
        before = _opened.set(opened)
        try:
            await bootstrap(client)
        except BaseException:
            for connection in opened:
                connection.close()
            raise
        finally:
            _opened.reset(before)

    return close_on_failure
