"""The HTTP edge's routes. There is no access log: paths may identify a customer's account."""

from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from services.chassis.errors import ChaparError, ErrorKind, problem
from services.ingest.adapters.edges.http_answers import problem_response
from services.ingest.adapters.edges.http_files import FileDownloads
from services.ingest.adapters.edges.http_webhooks import Webhooks
from services.ingest.adapters.edges.webchat_files import WebchatFiles
from services.ingest.adapters.edges.webchat_in import Webchat
from services.ingest.domain.reasons import Reason

_PAGE_HEADERS = {
    # The page is one file with its own script; it may connect to its own host only.
    "content-security-policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors *",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def edge_app(webhooks: Webhooks, webchat: Webchat, downloads: FileDownloads, uploads: WebchatFiles) -> Starlette:
    """Return the application of the HTTP edge."""
    page = (files("services.ingest.adapters") / "pages" / "chat.html").read_bytes()

    async def chat(_request: Request) -> Response:
        return Response(page, media_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)

    return Starlette(
        routes=[
            WebSocketRoute("/v1/{tenant}/webchat/{account}/ws", webchat.__call__),
            Route("/v1/{tenant}/webchat/{account}/files", uploads.__call__, methods=["POST", "OPTIONS"]),
            Route("/v1/{tenant}/{channel}/{account}", webhooks, methods=["GET", "POST"]),
            Route("/files/{token}", downloads.__call__),
            Route("/chat", chat),
        ],
        middleware=[Middleware(WebhookShortcut, webhooks=webhooks)],
        exception_handlers={404: _not_found, 405: _wrong_method},
    )


class WebhookShortcut:
    """Passes the POSTs to a webhook's path to the webhooks directly: they are nearly all calls, and routing costs as much as their parsing."""

    def __init__(self, app: Any, webhooks: Webhooks) -> None:
        self._app = app
        self._webhooks = webhooks

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one call. The path matches exactly when the route of the webhooks would match it."""
        if scope["type"] == "http" and scope["method"] == "POST":
            match scope["path"].split("/"):
                case ["", "v1", tenant, channel, account] if tenant and channel and account:
                    scope["path_params"] = {"tenant": tenant, "channel": channel, "account": account}
                    await self._webhooks(scope, receive, send)
                    return
        await self._app(scope, receive, send)


async def _not_found(_request: Request, _error: Exception) -> Response:
    return problem_response(
        problem(ChaparError(ErrorKind.NOT_FOUND, Reason.UNKNOWN_PATH, "there is nothing at this path"))
    )


async def _wrong_method(_request: Request, _error: Exception) -> Response:
    error = ChaparError(ErrorKind.INVALID, Reason.METHOD, "this path accepts only GET and POST")
    return problem_response(problem(error), status=405)
