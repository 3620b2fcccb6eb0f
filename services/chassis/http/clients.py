"""Between server and application: identifies the client and counts the requests in progress of each client.

The sockets of a trusted proxy have no share, because it represents many clients; so shares count the requests of its clients instead.
"""

from collections.abc import Callable
from typing import Any

from services.chassis.http.proxies import TrustedProxies, peer_key
from services.chassis.reasons import Reason

Asgi = Callable[[Any, Any, Any], Any]


class Clients:
    """An ASGI application around another. `most`: the number of requests in progress of one client behind a proxy."""

    def __init__(self, app: Asgi, proxies: TrustedProxies, most: int, dropped: Callable[[str], None]) -> None:
        self._app = app
        self._proxies = proxies
        self._most = most
        self._dropped = dropped
        self._under_way: dict[str, int] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""
        peer = scope.get("client")
        if peer is None or peer[0] not in self._proxies:
            await self._app(scope, receive, send)
            return
        fields = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        client = self._proxies.client(peer[0], fields)
        scope["client"] = (client, 0)
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key = peer_key(client)
        count = self._under_way.get(key, 0)
        if count >= self._most:
            self._dropped(Reason.CLIENT_REFUSED)
            await too_many(send)
            return
        self._under_way[key] = count + 1
        try:
            await self._app(scope, receive, send)
        finally:
            left = self._under_way[key] - 1
            if left:
                self._under_way[key] = left
            else:
                del self._under_way[key]


async def too_many(send: Any) -> None:
    """Answer 503: try again later."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"0"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
