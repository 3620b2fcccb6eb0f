"""What a process's settings say about its metrics is what a scrape returns."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from services.chassis.lifecycle import Service, serving
from services.router.metrics import METRICS
from services.router.settings import RouterSettings


@asynccontextmanager
async def build(service: Service[RouterSettings]) -> AsyncIterator[None]:
    """Let two tenants set gauges of 150 queues with the same names."""
    service.metrics.declare(METRICS)
    waiting = service.metrics.combined("chapar_router_waiting")
    for number in range(150):
        waiting.set("acme", f"q{number}", to=3)
        waiting.set("best", f"q{number}", to=4)
    yield


@pytest.mark.parametrize(
    ("tenants", "expected"),
    [
        ("", ['{queue="q1"} 7.0', '{queue="other"} 350.0']),
        (
            "true",
            [
                '{queue="q1",tenant="acme"} 3.0',
                '{queue="q1",tenant="best"} 4.0',
                '{queue="other",tenant="other"} 700.0',
            ],
        ),
    ],
)
async def test_a_scrape_shows_tenants_and_the_number_of_series_as_set(
    tenants: str, expected: list[str], tmp_path: Path
) -> None:
    """100 series: those of 100 queues, or of 50 queues of two tenants. All further ones are added up in one."""
    (tmp_path / "secret").write_text("s" * 40)
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "CHAPAR_ROUTER_INSECURE_DEV": "true",
        "CHAPAR_ROUTER_OPS_PORT": "0",
        "CHAPAR_ROUTER_DRAIN_S": "0",
        "CHAPAR_ROUTER_JWT__SECRET_FILE": str(tmp_path / "secret"),
        "CHAPAR_ROUTER_METRICS__SERIES": "100",
    } | ({"CHAPAR_ROUTER_METRICS__TENANTS": tenants} if tenants else {})
    settings = RouterSettings.load(env=environment)
    async with serving("router", settings, build) as service, httpx.AsyncClient(timeout=10) as http:
        text = (await http.get(f"http://{service.endpoints['ops']}/metrics")).text
    rows = [row for row in text.splitlines() if row.startswith("chapar_router_waiting{")]
    assert len(rows) == 101
    assert {f"chapar_router_waiting{row}" for row in expected} <= set(rows)
