"""The survey pages over HTTP: `/s/{token}` is served on ASGI directly, everything else by Starlette.

Starlette's middleware, router, request and response together cost a third of a response to a survey; a page needs only
the path, the query and the body. Limits and deadlines are the server's (`services.chassis.http`), for both ways.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.chassis.errors import ChaparError, ErrorKind
from services.feedback.domain.reasons import Reason

PREFIX: Final = "/s/"
Answer = tuple[int, bytes]
"""A status and a page."""
_LANGUAGES: Final[Mapping[bytes, str | None]] = MappingProxyType({b"": None, b"lang=fa": "fa", b"lang=en": "en"})
"""The queries that the pages themselves link to."""


class Visit:
    """One request."""

    def __init__(self, scope: Scope, receive: Receive, token: str = "") -> None:
        """`token`: the last part of the path, percent-decoded."""
        self.token = token
        self._scope = scope
        self._receive = receive

    @property
    def language(self) -> str | None:
        """The page language that the address names, whatever it is; None if it names none."""
        query: bytes = self._scope["query_string"]
        if query in _LANGUAGES:
            return _LANGUAGES[query]
        return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)).get("lang")

    @property
    def prefers_persian(self) -> bool:
        """Whether a reader without a valid link reads Persian, as far as the request shows."""
        accepted = next((value for name, value in self._scope["headers"] if name == b"accept-language"), b"")
        first = accepted.split(b",", 1)[0].strip().lower()
        return self.language == "fa" or first.startswith(b"fa")

    async def body(self, most_bytes: int) -> bytes:
        """Return the body. Raises TOO_LARGE or INVALID. The size is counted while it is read, because the stated length
        may be false."""
        body, more = await self._part()
        if more:
            parts = bytearray(body)
            while more and len(parts) <= most_bytes:
                part, more = await self._part()
                parts += part
            body = bytes(parts)
        if len(body) > most_bytes:
            raise ChaparError(ErrorKind.TOO_LARGE, Reason.BODY_TOO_LARGE, f"more than {most_bytes} bytes")
        return body

    async def _part(self) -> tuple[bytes, bool]:
        """Return the next part of the body, and whether another may follow."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ChaparError(ErrorKind.INVALID, Reason.BAD_FORM, "the client has gone")
        return message.get("body", b""), message.get("more_body", False)


class Handler(Protocol):
    """Answers the requests."""

    async def show(self, visit: Visit) -> Answer:
        """Return the page of a link."""

    async def take(self, visit: Visit) -> Answer:
        """Accept a form."""

    def missing(self, visit: Visit) -> Answer:
        """Return the page for an address that does not exist."""

    def broken(self, visit: Visit) -> Answer:
        """Return the page for a request that could not be handled."""


class PageApp(Starlette):
    """The application."""

    def __init__(self, handler: Handler, style: str) -> None:
        """`style`: the hash of the style that the pages may use."""
        self._handler = handler
        self._methods: dict[str, Callable[[Visit], Awaitable[Answer]]] = {
            "GET": handler.show,
            "HEAD": handler.show,
            "POST": handler.take,
        }
        policy = f"default-src 'none'; style-src '{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        self._headers = (
            (b"content-security-policy", policy.encode()),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-robots-tag", b"noindex"),
            (b"cache-control", b"no-store"),
            (b"content-type", b"text/html; charset=utf-8"),
        )
        super().__init__(exception_handlers={404: self._nothing_here, 500: self._broken})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            token = scope["path"][len(PREFIX) :]
            method = self._methods.get(scope["method"])
            if method is not None and token:
                await self._answer(method, Visit(scope, receive, token), send)
                return
        await super().__call__(scope, receive, send)

    async def _answer(self, method: Callable[[Visit], Awaitable[Answer]], visit: Visit, send: Send) -> None:
        try:
            status, html = await method(visit)
        except Exception:
            # As Starlette does it: the client gets a page, and the server logs the error.
            await self._send(send, *self._handler.broken(visit))
            raise
        await self._send(send, status, html)

    async def _send(self, send: Send, status: int, html: bytes) -> None:
        await send({"type": "http.response.start", "status": status, "headers": self._headers_of(html)})
        await send({"type": "http.response.body", "body": html})

    async def _nothing_here(self, request: Request, _error: Exception) -> Response:
        return self._response(*self._handler.missing(Visit(request.scope, request.receive)))

    async def _broken(self, request: Request, _error: Exception) -> Response:
        return self._response(*self._handler.broken(Visit(request.scope, request.receive)))

    def _response(self, status: int, html: bytes) -> Response:
        response = Response(html, status)
        response.raw_headers = self._headers_of(html)
        return response

    def _headers_of(self, html: bytes) -> list[tuple[bytes, bytes]]:
        return [*self._headers, (b"content-length", b"%d" % len(html))]
