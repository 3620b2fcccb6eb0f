"""Time until everything is ready, and the CPU and memory that it takes: `python -m tests.bench.footprint [interactions]`.

`ready_s`: from `chapar run` to its message that everything is ready, on a second start: jars and class archive are in
the cache; topics, configuration and secrets exist. `idle_cpu`: CPU of all processes together, the broker and `chapar
run` included, over some seconds in which nothing happens, in percent of one core. `rss_idle_mb{…}`: resident memory of
each process after that. `rss_10k_mb{…}`: the same with 10,000 interactions open (waiting, with three deadlines each, no agent signed in)
and every lane at the end of its input.

It starts a broker of its own in a temporary home, whatever KAFKA_BOOTSTRAP_SERVERS says: the broker is part of the
measurement.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.grpc.client import grpc_channel
from services.cli.connection import token_for
from services.cli.local.workspace import SERVICES, Workspace
from tests.bench.figures import tell
from tests.bench.stand import TENANT, Cpu, a_configuration, a_home, begin, processes, rss_mb

STREAMS, SETTLE_S, IDLE_S = 32, 5.0, 15.0
READY_GOAL: Final = "<=60"
IDLE_GOAL: Final = "<=6"
_READY_S, _OPEN_S = 240.0, 600.0


@asynccontextmanager
async def a_run(home: Workspace, config: Path) -> AsyncIterator[tuple[int, float, dict[str, Any]]]:
    """Run `chapar run` until the block ends; yield its process id, seconds until ready, and the addresses of
    everything."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    environment |= {"CHAPAR_HOME": str(home.home), "CHAPAR_INGEST_ACCOUNT_RATE": "0", "CHAPAR_INGEST_TENANT_RATE": "0"}
    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "run", "--json", "--config", str(config)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_READY_S):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError("chapar run ended before it was ready: see its output")
        yield process.pid, time.monotonic() - begun, json.loads(line)["endpoints"]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await process.wait()


def own_processes(run: int) -> dict[str, int]:
    """Return the ids by name of `chapar run` (cli) and of all processes that it has started."""
    found = {"cli": run}
    for pid, command in processes().items():
        if _parent(pid) == run:
            service = next((name for name in SERVICES if f"services.{name}" in command), None)
            name = service or ("kafka" if "kafka.Kafka" in command else None)
            if name is not None:
                found[name] = pid
    return found


def memory(run: int) -> dict[str, float]:
    """Return MB by name of the process."""
    return {name: rss_mb(pid) for name, pid in own_processes(run).items()}


async def idle(run: int) -> dict[str, float]:
    """Return CPU by name of the process over some seconds, in percent of one core."""
    cpus, begun = {name: Cpu(pid) for name, pid in own_processes(run).items()}, time.monotonic()
    await asyncio.sleep(IDLE_S)
    return {name: round(100 * cpu.used_s() / (time.monotonic() - begun), 2) for name, cpu in cpus.items()}


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


async def open_interactions(home: Workspace, address: str, count: int) -> None:
    """Send `count` first messages of `count` customers, and wait for the acknowledgements."""
    token, numbers = token_for(home, TENANT), iter(range(count))
    async with grpc_channel(address, token=lambda _tenant: token) as channel, asyncio.TaskGroup() as tasks:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        for _ in range(STREAMS):
            tasks.create_task(_submit(stub, numbers))


async def _submit(stub: Any, numbers: Iterator[int]) -> None:
    def requests() -> Iterator[ingest_pb2.SubmitStreamRequest]:
        for number in numbers:
            message = ingest_pb2.SubmitRequest(
                idempotency_key=f"m{number}", native_id=f"customer-{number}", text="سلام، سفارش من نرسیده است"
            )
            yield ingest_pb2.SubmitStreamRequest(message=message)

    call = stub.SubmitStream()
    for request in requests():  # each is answered before the next: 32 in flight in total
        await call.write(request)
        answer = await call.read()
        if answer.refused_reason:
            raise RuntimeError(f"refused: {answer.refused_reason}: {answer.refused_message}")
    await call.done_writing()


async def settled(endpoints: dict[str, Any], count: int) -> None:
    """Wait until all interactions wait in the router, and no lane and no projection has records to read."""
    async with asyncio.timeout(_OPEN_S), httpx.AsyncClient() as http:
        for tries in itertools.count(1):
            waiting, behind = 0.0, 0.0
            for servers in endpoints.values():
                text = (await http.get(f"http://{servers['ops']}/metrics")).text
                for sample in (s for family in text_string_to_metric_families(text) for s in family.samples):
                    waiting += sample.value if sample.name == "chapar_router_waiting" else 0
                    behind += (
                        sample.value if sample.name in ("chapar_lane_lag_records", "chapar_history_lag_records") else 0
                    )
            if waiting >= count and not behind:
                return
            if not tries % 10:
                print(f"{waiting:.0f} of {count} wait, {behind:.0f} records are not read yet", flush=True)
            await asyncio.sleep(1)


async def run(count: int) -> None:
    """Print the figures."""
    with a_home() as home:
        config = home.directory("config") / "bench.yaml"
        config.write_text(a_configuration(0, sla_policies=True))
        async with a_run(home, config) as (_, first_s, _):
            print(f"first start, topics and configuration to be made: {first_s:.1f} s")
        async with a_run(home, config) as (pid, ready_s, endpoints):
            tell("ready_s", round(ready_s, 1), "s", READY_GOAL, first_start_s=round(first_s, 1))
            await asyncio.sleep(SETTLE_S)
            percent = await idle(pid)
            print(", ".join(f"{name} {value:.1f} %" for name, value in sorted(percent.items())), "of a core when idle")
            tell("idle_cpu", round(sum(percent.values()), 2), "% of a core", IDLE_GOAL, **percent)
            for name, megabytes in sorted(memory(pid).items()):
                tell(f"rss_idle_mb{{{name}}}", megabytes, "MB")
            await open_interactions(home, endpoints["ingest"]["grpc"], count)
            await settled(endpoints, count)
            await asyncio.sleep(SETTLE_S)
            for name, megabytes in sorted(memory(pid).items()):
                tell(f"rss_{_short(count)}_mb{{{name}}}", megabytes, "MB", interactions=count)


def _short(count: int) -> str:
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


if __name__ == "__main__":
    begin()
    asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
