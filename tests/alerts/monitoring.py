"""A real Prometheus and a real Alertmanager for the time of a run."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from services.cli.local.broker.ports import free_port

PROGRAMS: Final = ("prometheus", "prometheus-alertmanager", "promtool")
"""As Debian's packages `prometheus` and `prometheus-alertmanager` install them."""
_READY_S: Final = 30.0


class CannotRunError(Exception):
    """A program that the check needs is not installed. The text says which, and the package."""


def require_programs() -> None:
    """Raise CannotRunError when a program is missing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise CannotRunError(f"{', '.join(missing)}: not installed (Debian: prometheus, prometheus-alertmanager)")


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The HTTP API of a running Prometheus."""

    client: httpx.AsyncClient

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query: `metric` and `value`."""
        return await self._data("/api/v1/query", {"query": expression})

    async def query_range(self, expression: str, start_s: float, end_s: float, step_s: float) -> list[dict[str, Any]]:
        """Return the series of a range query: `metric` and `values`."""
        return await self._data(
            "/api/v1/query_range", {"query": expression, "start": start_s, "end": end_s, "step": step_s}
        )

    async def unscraped(self, start_s: float, end_s: float) -> set[str]:
        """Return the namespaces of which a scrape failed in this time. Series of a failed scrape are absent, so alerts on
        absence are right."""
        failed = await self.query_range("up == 0", start_s, end_s, 1)
        return {each["metric"]["namespace"] for each in failed}

    async def names(self, namespace: str = "") -> set[str]:
        """Return the names of all series, or of those of a namespace."""
        only = {"match[]": f'{{namespace="{namespace}"}}'} if namespace else {}
        answer = await self.client.get("/api/v1/label/__name__/values", params=only)
        return set(answer.raise_for_status().json()["data"])

    async def _data(self, path: str, parameters: Mapping[str, str | float]) -> list[dict[str, Any]]:
        answer = await self.client.get(path, params=dict(parameters))
        if answer.is_error:
            raise ValueError(f"Prometheus refuses {parameters['query']}: {answer.text}")
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found


@contextlib.asynccontextmanager
async def prometheus(configuration: Path, lookback: str, port: int | None = None) -> AsyncIterator[Prometheus]:
    """Run Prometheus with its data beside the configuration; data that are there already are read too."""
    port = free_port() if port is None else port
    command = (
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={configuration.parent / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--query.lookback-delta={lookback}",
        "--log.level=warn",
    )
    async with _running(command, configuration.parent / "prometheus.log", f"http://127.0.0.1:{port}") as client:
        yield Prometheus(client)


@contextlib.asynccontextmanager
async def alertmanager(configuration: Path) -> AsyncIterator[str]:
    """Run Alertmanager. Yields its address."""
    address = f"127.0.0.1:{free_port()}"
    command = (
        "prometheus-alertmanager",
        f"--config.file={configuration}",
        f"--storage.path={configuration.parent / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        "--log.level=warn",
    )
    async with _running(command, configuration.parent / "alertmanager.log", f"http://{address}"):
        yield address


async def backfill(openmetrics: Path, data: Path) -> None:
    """Write samples of the past into the data of a Prometheus that does not run yet."""
    command = ("promtool", "tsdb", "create-blocks-from", "openmetrics", str(openmetrics), str(data))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {output.decode()}")


@contextlib.asynccontextmanager
async def _running(command: Sequence[str], log: Path, url: str) -> AsyncIterator[httpx.AsyncClient]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
        try:
            async with httpx.AsyncClient(base_url=url, timeout=20) as client:
                await _ready(client, process, command[0], log)
                yield client
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _ready(client: httpx.AsyncClient, process: asyncio.subprocess.Process, name: str, log: Path) -> None:
    try:
        async with asyncio.timeout(_READY_S):
            while True:
                if process.returncode is not None:
                    raise RuntimeError(f"{name} ended: {log.read_text()}")  # noqa: ASYNC240 - the end of the run
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get("/-/ready")).is_success:
                        return
                await asyncio.sleep(0.1)  # polling: only a response shows that it is ready
    except TimeoutError:
        print(log.read_text(), file=sys.stderr)  # noqa: ASYNC240 - the end of the run
        raise
