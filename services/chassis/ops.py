"""The HTTP server for operators: /metrics, /healthz, /readyz, /startupz. Plain text and JSON, without data of tenants.

/healthz answers from the event loop itself, so an answer proves that the loop runs; the probe's time-out detects a loop that hangs.
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
"""Limits for probes and scrapers only: few connections, short requests."""
_NO_STORE = {"cache-control": "no-store"}


def ops_app(metrics: Metrics, health: Health) -> Starlette:
    """Return the application of the ops port."""

    async def show_metrics(_request: Request) -> Response:
        # A scrape of thousands of series takes 0.1 s: do not run it on the loop that serves agents.
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
    body = {"status": word if good else f"not {word}", "waiting_for": health.reasons(), "degraded": health.degraded()}
    return JSONResponse(body, status_code=200 if good else 503, headers=_NO_STORE)
