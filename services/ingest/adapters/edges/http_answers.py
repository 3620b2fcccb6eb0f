"""HTTP answers of the edge's pages: clients must not sniff the type."""

import msgspec
from starlette.responses import Response

from services.chassis.errors import Problem


def problem_response(problem: Problem, status: int | None = None) -> Response:
    """Return an RFC 9457 answer; `status` overrides the kind's own."""
    body = problem.body if status is None else {**problem.body, "status": status}
    headers = {**problem.headers, "x-content-type-options": "nosniff"}
    return Response(msgspec.json.encode(body), status_code=status or problem.status, headers=headers)
