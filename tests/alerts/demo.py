"""The demo, watched by Prometheus: what the catalogue and the dashboards show, and whether an alert fires although nothing is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from docs.generate.metrics import CATALOGUE
from tests.alerts.exposition import recorded
from tests.alerts.installation import targets
from tests.alerts.monitoring import Prometheus, prometheus
from tests.alerts.shipped import ROOT, lookback, write_prometheus

DASHBOARDS: Final = tuple(sorted((ROOT / "deploy/grafana").glob("*.json")))
RATE: Final = "10s"
"""What `$__rate_interval` becomes: some scrapes."""
_SCRAPED_S: Final = 5.0
"""The first and last seconds of the demo are not judged: processes start and end."""
_START_S: Final = 120.0
_END_S: Final = 240.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What the demo showed."""

    recordings: Mapping[str, str]
    """The last exposition of each job."""
    names: frozenset[str]
    """The names of all series."""
    empty: tuple[str, ...]
    """Panels without data, with their expression."""
    fired: tuple[str, ...]
    """Alerts that fired."""
    judged: bool
    """Whether every scrape succeeded: otherwise alerts on absence are right."""


NOT_HERE: Final = frozenset(
    {
        "chapar_certificate_expiry_timestamp_seconds",  # needs TLS: tests/integration/chassis/test_tls.py
        "chapar_service_token_expiry_timestamp_seconds",  # needs a token file: tests/integration/chassis/test_identity_provider.py
        "chapar_delivery_reports_unmatched_total",  # needs a report without its delivery: tests/flow/ingest/test_delivery_reports.py
        "chapar_file_store_errors_total",  # needs a file store that is away: tests/contract/files/test_away.py
        "chapar_edge_kept_raw_total",  # needs odd calls: tests/unit/ingest/edges/test_webhook_answers.py
        "chapar_edge_beyond_rate_total",  # needs a flood of a provider: tests/unit/ingest/edges/test_provider_floods.py
        "chapar_intake_blocked_total",  # needs a blocked sender: tests/flow/ingest/test_block_list.py
        "chapar_intake_paced_total",  # needs a customer who floods: tests/flow/ingest/test_paced.py
        "chapar_sla_rearmed_total",  # needs a reply that fails after it was sent: tests/flow/ingest/test_reply_outcomes.py
        "chapar_lane_refused",  # exists as long as a partition is refused: tests/integration/test_lost_logs_in_services.py
    }
)
"""Metrics that neither the demo nor the faults produce, and the tests that do."""


def without_sample(names: Collection[str]) -> list[str]:
    """Return the catalogued metrics that have no sample among series of these names."""
    return [
        spec.name
        for spec in CATALOGUE
        if (f"{spec.name}_count" if spec.kind == "histogram" else spec.name) not in names
    ]


def panel_expressions(dashboard: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return title and expression of each panel, for all tenants and queues."""
    return [
        (
            panel["title"],
            re.sub(r"\$__rate_interval\b", RATE, target["expr"]).replace("$queue", ".*").replace("$tenant", ".*"),
        )
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


async def watch_demo(directory: Path, factor: int) -> Watched:
    """Play the demo and watch it."""
    directory.mkdir(parents=True)  # noqa: ASYNC240 - once, before anything runs
    async with _demo(directory) as process:
        endpoints = await _endpoints(directory / "home/demo/run/running.json", process)
        file = write_prometheus(directory, targets(endpoints, "demo"), "", factor)
        async with prometheus(file, lookback(factor)) as found:
            began_s = time.time()
            recordings = await _follow(process, endpoints)
            ended_s = time.time()
            return Watched(
                recordings,
                frozenset(await found.names()),
                tuple(await empty_panels(found, began_s, ended_s)),
                tuple(await _fired(found, began_s, ended_s)),
                not await found.unscraped(began_s + _SCRAPED_S, ended_s - _SCRAPED_S),
            )


@contextlib.asynccontextmanager
async def _demo(directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHAPAR_", "KAFKA_"))}
    environment |= {"CHAPAR_HOME": str(directory / "home")}
    if cache := os.environ.get("CHAPAR_CACHE_DIR"):
        environment["CHAPAR_CACHE_DIR"] = cache
    with (directory / "demo.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.cli", "demo", cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _endpoints(running: Path, process: asyncio.subprocess.Process) -> dict[str, dict[str, str]]:
    async with asyncio.timeout(_START_S):
        while not running.exists():  # noqa: ASYNC240 - a small file
            if process.returncode is not None:
                raise RuntimeError(f"the demo ended before it began: see {running.parents[3] / 'demo.log'}")
            await asyncio.sleep(0.1)  # polling: the demo announces its addresses in this file
    found: dict[str, dict[str, str]] = json.loads(running.read_text())["endpoints"]  # noqa: ASYNC240 - a small file
    return found


async def _follow(process: asyncio.subprocess.Process, endpoints: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the last exposition of each job that was ready. Raises RuntimeError when the demo fails."""
    recordings: dict[str, str] = {}
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(_END_S):
        while process.returncode is None:
            for name, servers in endpoints.items():
                with contextlib.suppress(httpx.HTTPError):
                    text = (await client.get(f"http://{servers['ops']}/metrics")).text
                    if recorded(text).get(("chapar_ready", ())) == 1:  # not while it starts or ends
                        recordings[f"chapar-{name}"] = text
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 2)
    if process.returncode:
        raise RuntimeError(f"the demo failed with exit code {process.returncode}")
    return recordings


async def empty_panels(found: Prometheus, began_s: float, ended_s: float) -> list[str]:
    """Return the panels without data in this time, with their expression."""
    empty = []
    for path in DASHBOARDS:
        for title, expression in panel_expressions(json.loads(path.read_text(encoding="utf-8"))):
            series = await found.query_range(expression, began_s, ended_s, 1)
            if not any(math.isfinite(float(value)) for each in series for _, value in each["values"]):
                empty.append(f"{path.stem}: {title}: {expression}")
    return empty


async def _fired(found: Prometheus, began_s: float, ended_s: float) -> list[str]:
    series = await found.query_range('ALERTS{alertstate="firing"}', began_s, ended_s, 0.5)
    # The processes end with the demo: what fires in its last seconds is right.
    return sorted({_shown(each["metric"]) for each in series if float(each["values"][0][0]) < ended_s - _SCRAPED_S})


def _shown(labels: Mapping[str, str]) -> str:
    left_out = {"__name__", "alertname", "alertstate", "severity", "namespace"}
    return labels["alertname"] + "".join(f" {name}={value}" for name, value in labels.items() if name not in left_out)
