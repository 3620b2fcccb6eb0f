"""A real router process, without the other services."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.chassis.clock import system_clock
from services.chassis.cluster_topics import apply as apply_topics
from services.chassis.kafka_settings import KafkaSettings
from services.cli.config import publishing
from services.cli.local.development import environment_of, make_keys
from services.cli.local.stack import read_config
from services.cli.local.workspace import Workspace
from tests.bench.engine_compiled import build, importing_from
from tests.bench.gateway_driver import AGENTS
from tests.bench.stand import a_configuration

_READY_S: Final = 60.0


async def configure(home: Workspace, kafka: KafkaSettings) -> None:
    """Create the topics and publish the configuration of the bench's tenant."""
    await apply_topics(kafka)
    file = home.directory("config") / "bench.yaml"
    file.write_text(a_configuration(AGENTS))
    await publishing.apply(kafka, read_config(file).configuration, system_clock)


@asynccontextmanager
async def a_router(
    home: Workspace, kafka: KafkaSettings, name: str = "router", profile: Path | None = None, session_ms: int = 6_000
) -> AsyncIterator[tuple[int, str]]:
    """Run a router as `chapar run` starts it, until ready; yield its process id and the address of its metrics.
    `profile`: run it under cProfile, which writes its statistics there. `session_ms`: the session time-out of its lanes."""
    ops = home.ports([f"{name}.ops"])[f"{name}.ops"]
    make_keys(home)
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "CHAPAR_TOPIC_PREFIX": kafka.topic_prefix,
        "CHAPAR_ROUTER_OPS_PORT": str(ops),
        "CHAPAR_ROUTER_INSECURE_DEV": "true",
        "CHAPAR_ROUTER_INSTANCE": name,
        "CHAPAR_ROUTER_DRAIN_S": "0",
        "CHAPAR_ROUTER_LANE__SESSION_TIMEOUT_MS": str(session_ms),
        **environment_of(home, "router"),
    }
    compiled = None if profile is not None else build()
    if compiled is not None:
        environment |= importing_from(compiled)
    under = ["-m", "cProfile", "-o", str(profile)] if profile is not None else []
    log = home.directory("logs") / f"{name}.log"
    with log.open("w") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *under, "-m", "services.router", env={**os.environ, **environment}, stdout=out, stderr=out
        )
    try:
        await _until_ready(process, f"http://127.0.0.1:{ops}/readyz", log)
        yield process.pid, f"http://127.0.0.1:{ops}/metrics"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    async with asyncio.timeout(_READY_S), httpx.AsyncClient() as http:
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"a router ended with {process.returncode}: see {log}")
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass  # not listening yet
            await asyncio.sleep(0.05)


async def metrics_of(url: str) -> dict[str, float]:
    """Return the sums over all labels, by sample name."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(url)).text
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums
