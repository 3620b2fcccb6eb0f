"""The HTTP side for operators: /metrics, /healthz, /readyz, /startupz. Plain text and JSON, no tenant's data.

/healthz answers from the event loop itself, so an answer is the heartbeat; the probe's time-out finds one that hangs.
"""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.chassis.connections import ConnectionLimits
from services.chassis.health import Health
from services.chassis.http import HttpLimits
from services.chassis.metrics import CONTENT_TYPE, Metrics

OPS_LIMITS = HttpLimits(
    connections=ConnectionLimits(total=256, per_peer=64, head_s=5, body_s=5, work_s=60),
    head_bytes=16 << 10,
    discard_bytes=1 << 20,
)
"""For probes and scrapers only: few, and quick."""
_NO_STORE = {"cache-control": "no-store"}


def ops_app(metrics: Metrics, health: Health) -> Starlette:
    """The application of the ops port."""

    async def show_metrics(_request: Request) -> Response:
        # A scrape of thousands of series takes a tenth of a second: not on the loop that serves agents.
        return Response(await asyncio.to_thread(metrics.render), headers={"content-type": CONTENT_TYPE})

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"}, headers=_NO_STORE)

    async def readyz(_request: Request) -> Response:
        return _state(health.ready, "ready", health)

    async def startupz(_request: Request) -> Response:
        return _state(health.started, "started", health)

    return Starlette(
        routes=[
            Route("/metrics", show_metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/startupz", startupz),
        ]
    )


def _state(good: bool, word: str, health: Health) -> Response:
    body = {"status": word if good else f"not {word}", "waiting_for": health.reasons()}
    return JSONResponse(body, status_code=200 if good else 503, headers=_NO_STORE)
