"""The shortcut to the webhooks takes exactly the POSTs that Starlette's route would give them, with the same parameters."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Match, Route

from services.ingest.adapters.edges.http_app import WebhookShortcut
from services.ingest.adapters.edges.http_webhooks import Webhooks

PARTS = st.sampled_from(["", "v1", "v2", "demo", "webhook", "main", "a b", "سلام", "x\n", "."])
NEAR = st.lists(PARTS, min_size=2, max_size=4).map(lambda parts: "/v1/" + "/".join(parts))
PATHS = NEAR | st.lists(PARTS, max_size=7).map("/".join) | st.text(max_size=20)


async def _nothing(*_: Any) -> None:
    """Serve as the end of a route."""


ROUTE = Route("/v1/{tenant}/{channel}/{account}", _nothing, methods=["GET", "POST"])


def taken(path: str, method: str = "POST", kind: str = "http") -> dict[str, str] | None:
    """Return the parameters with which the shortcut calls the webhooks; None if it calls the application."""
    seen: list[dict[str, str] | None] = []

    async def webhooks(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["path_params"])

    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(None)

    shortcut = WebhookShortcut(application, cast(Webhooks, webhooks))
    call = shortcut({"type": kind, "method": method, "path": path}, None, None)
    with pytest.raises(StopIteration):  # nothing in it waits, so it needs no event loop
        call.send(None)
    (only,) = seen
    return only


@given(PATHS)
def test_the_shortcut_matches_as_the_route_does(path: str) -> None:
    """For any path, also with empty parts, line ends and other scripts."""
    match, scope = ROUTE.matches({"type": "http", "method": "POST", "path": path, "root_path": ""})
    assert taken(path) == (scope["path_params"] if match is Match.FULL else None)


@pytest.mark.parametrize(("method", "kind"), [("GET", "http"), ("PUT", "http"), ("POST", "websocket")])
def test_other_calls_take_the_usual_way(method: str, kind: str) -> None:
    """Handshakes, wrong methods and sockets are rare."""
    assert taken("/v1/demo/webhook/main", method, kind) is None
