"""HTTP answers of the edges: JSON that can hold any Unicode; clients must not sniff the type or store the answer."""

from typing import Any

import msgspec
from starlette.responses import Response

from services.chassis.errors import Problem

_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def json_response(body: Any, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json", headers=_HEADERS)


def problem_response(problem: Problem, status: int | None = None) -> Response:
    """Return an RFC 9457 answer; `status` overrides the kind's own."""
    body = problem.body if status is None else {**problem.body, "status": status}
    headers = {**problem.headers, "x-content-type-options": "nosniff"}
    return Response(msgspec.json.encode(body), status_code=status or problem.status, headers=headers)
