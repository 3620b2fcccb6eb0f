"""One call of a webhook over raw ASGI: what its path and head say, its body, and its answer.

Starlette's request, routing and response cost a third of such a call, so the webhooks do without them.
"""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from services.chassis.errors import Problem

Header = tuple[bytes, bytes]

_NO_SNIFFING: Header = (b"x-content-type-options", b"nosniff")
_JSON: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    _NO_SNIFFING,
    (b"content-type", b"application/json"),
)
_TEXT: tuple[Header, ...] = (_NO_SNIFFING, (b"content-type", b"text/plain; charset=utf-8"))


class CallerGone(Exception):  # noqa: N818 - reads as what happened
    """The caller closed the connection before the end of the body."""


class WebhookCall:
    """`headers`: by name in lower case, the first field of each name. `peer`: the caller's address, "" when unknown."""

    __slots__ = ("_receive", "headers", "method", "path", "peer", "query")

    def __init__(self, scope: Any, receive: Any) -> None:
        self._receive = receive
        self.method: str = scope["method"]
        self.path: dict[str, str] = scope["path_params"]
        self.query: bytes = scope["query_string"]
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        # Of several fields with one name the first counts, so it is put in last.
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])
        }

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the parts of the body. Raises CallerGone."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise CallerGone
            part: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            if part:
                yield part


class Answer(NamedTuple):
    """The answer to a call, without its length."""

    status: int
    headers: tuple[Header, ...]
    body: bytes

    async def send(self, send: Any) -> None:
        """Send it."""
        headers = [*self.headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_answer(body: Any) -> Answer:
    """Return a 200 with JSON, which can hold any Unicode; clients must not sniff its type or store it."""
    return Answer(200, _JSON, msgspec.json.encode(body))


def text_answer(text: str) -> Answer:
    """Return a 200 with plain text."""
    return Answer(200, _TEXT, text.encode())


def problem_answer(problem: Problem, status: int | None = None) -> Answer:
    """Return an RFC 9457 answer; `status` overrides the kind's own."""
    body = problem.body if status is None else {**problem.body, "status": status}
    headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    return Answer(status or problem.status, (*headers, _NO_SNIFFING), msgspec.json.encode(body))
