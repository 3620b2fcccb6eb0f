"""One tenant floods, another is served: `[KAFKA_BOOTSTRAP_SERVERS=…] python -m tests.bench.hostile_fairness [seconds a round] [rounds] [floods]`.

The whole product runs as `chapar run` starts it, with its default limits, and two tenants. Tenant B submits at a steady, modest rate
(open loop) and each message is clocked from the call of Submit to the offer's arrival on an agent's stream. In every second round tenant A
floods meanwhile, from a process of its own: Submit and SubmitStream without pause, watches of events and health, agents for invented
pools. The figure is the p99 of B's Submit-to-offer with the flood over without, with its 95 % interval; the defaults take enough samples
for a p99 (`confidence.least_samples`), and a shorter run says that it has not. The services' CPU and the flood's own rate are printed with it.
"""

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Final

import grpc
import uvloop

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.router.v1 import records_pb2 as pb
from services.chassis.clock import system_clock
from services.chassis.grpc.client import grpc_channel
from services.cli.config import publishing
from services.cli.connection import token_for
from services.cli.desk import Desk
from services.cli.local.stack import Stack, StackOptions, read_config, running_stack
from services.cli.local.workspace import Workspace
from tests.bench.confidence import least_samples, ratio_interval
from tests.bench.figures import tell
from tests.bench.stand import TENANT, Cpu, a_broker, a_configuration, a_home, percentile
from tests.hostile.grpc_floods import (
    Flood,
    health_watch_flood,
    submit_flood,
    submit_stream_flood,
    upsert_agent_flood,
    watch_events_flood,
)

GREEDY: Final = "greedy"
RATE, ROUNDS, SECONDS = 10, 4, 30.0
GOAL: Final = "<=3"
FLOODS: Final = ("Submit", "SubmitStream", "WatchEvents", "health", "UpsertAgent")
_WARM_UP_S, _LATE_S = 10.0, 60.0
_LEAST_PRIORITY: Final = 19


class Victim:
    """Tenant B: submits at a steady rate, and sees its offers arrive."""

    def __init__(self, stub: "ingest_pb2_grpc.IngestServiceAsyncStub") -> None:
        self._stub = stub
        self._round = 0
        self._offered: dict[str, float] = {}
        self.refused = 0
        self.acknowledged: list[float] = []
        """Seconds from Submit to its answer, of the newest round."""

    async def desk(self, desk: Desk) -> None:
        """One agent's stream: when each customer's offer arrived."""
        async for event in desk.events():
            if event.WhichOneof("response") == "offered":
                self._offered.setdefault(event.offered.interaction.identity_id, time.monotonic())

    async def round(self, seconds: float) -> list[float]:
        """Seconds from Submit to the offer, of every message of one round."""
        self._round += 1
        begun: dict[str, float] = {}
        self.acknowledged.clear()

        async def submit(number: int) -> None:
            key = f"{self._round}/{number}"
            at = time.monotonic()
            request = ingest_pb2.SubmitRequest(idempotency_key=key, native_id=f"customer-{key}", text="hello")
            try:
                answer = await self._stub.Submit(request, timeout=_LATE_S)
            except grpc.aio.AioRpcError:
                self.refused += 1
                return
            begun[answer.identity_id] = at
            self.acknowledged.append(time.monotonic() - at)

        start = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(RATE * seconds)):
                await asyncio.sleep(max(0.0, start + number / RATE - time.monotonic()))
                tasks.create_task(submit(number))
        async with asyncio.timeout(_LATE_S):
            while not begun.keys() <= self._offered.keys():  # noqa: ASYNC110 - filled by another task
                await asyncio.sleep(0.01)
        return [self._offered[identity] - at for identity, at in begun.items()]


async def _flood(
    endpoints: Mapping[str, Mapping[str, str]], token: str, names: tuple[str, ...], over: Flag
) -> list[tuple[str, Flood]]:
    ingest, router, sla = (endpoints[name]["grpc"] for name in ("ingest", "router", "sla"))
    async with AsyncExitStack() as floods:
        made = {
            "Submit": submit_flood(ingest, token, at_once=400),
            "SubmitStream": submit_stream_flood(ingest, token, streams=40),
            "WatchEvents": watch_events_flood(sla, token, streams=400),
            "health": health_watch_flood(ingest, connections_=21, streams=50),
            "UpsertAgent": upsert_agent_flood(router, token),
        }
        found = [(name, await floods.enter_async_context(made[name])) for name in names]
        while not over.is_set():  # noqa: ASYNC110 - another process's flag
            await asyncio.sleep(0.05)
    return found


def _step_back() -> None:
    """Lets this process run only when no other wants the CPU: an attacker has a machine of their own.

    Otherwise the three seconds of CPU with which a flood fills its streams' windows count as a fault of the product.
    """
    os.setsid()
    os.nice(_LEAST_PRIORITY)
    autogroup = Path("/proc/self/autogroup")  # where there is one, the priority of the session counts
    if autogroup.exists():
        autogroup.write_text(str(_LEAST_PRIORITY))


def _flooding(endpoints: Mapping[str, Mapping[str, str]], token: str, names: tuple[str, ...], over: Flag) -> None:
    _step_back()
    begun, process = time.monotonic(), Cpu(os.getpid())
    found = uvloop.run(_flood(endpoints, token, names, over))
    print(f"  the flood's own CPU: {100 * process.used_s() / (time.monotonic() - begun):.0f} %", flush=True)
    for name, flood in found:
        print(f"  {name}: sent {flood.sent}, {dict(flood.codes)} {dict(flood.reasons)}", flush=True)


@asynccontextmanager
async def flooded(
    endpoints: Mapping[str, Mapping[str, str]], token: str, names: tuple[str, ...]
) -> AsyncIterator[None]:
    """Tenant A floods from another process during the block."""
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    process = context.Process(target=_flooding, args=(endpoints, token, names, over), daemon=True)
    process.start()
    try:
        yield
    finally:
        over.set()
        await asyncio.to_thread(process.join, 30)
        if process.is_alive():
            process.kill()


@asynccontextmanager
async def a_victim(workspace: Workspace, stack: Stack) -> AsyncIterator[Victim]:
    """Tenant B with one agent who can hold everything."""
    endpoints = stack.running.endpoints
    async with AsyncExitStack() as exits:
        operator = token_for(workspace, TENANT)
        channel = await exits.enter_async_context(
            grpc_channel(endpoints["ingest"]["grpc"], token=lambda _tenant: operator)
        )
        victim = Victim(ingest_pb2_grpc.IngestServiceStub(channel))
        tasks = await exits.enter_async_context(asyncio.TaskGroup())
        token = token_for(workspace, TENANT, agent_id="a0")
        desk = await exits.enter_async_context(
            Desk(endpoints["router"]["grpc"], token, agent_id="a0", state=pb.AGENT_STATE_AVAILABLE)
        )
        await desk.welcomed()
        exits.callback(tasks.create_task(victim.desk(desk)).cancel)
        yield victim


async def run(seconds: float, rounds: int, names: tuple[str, ...]) -> int:
    """Prints the figure; 1 when a message of the tenant that does nothing wrong was refused."""
    async with AsyncExitStack() as exits:
        kafka = await exits.enter_async_context(a_broker())
        workspace = exits.enter_context(a_home())
        file, other = (workspace.directory("config") / f"{name}.yaml" for name in (TENANT, GREEDY))
        file.write_text(a_configuration(1, sla_policies=True))
        other.write_text(a_configuration(1).replace(f"tenant: {TENANT}", f"tenant: {GREEDY}"))
        os.environ["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers  # where `running_stack` looks
        options = StackOptions(config=file, topic_prefix=kafka.topic_prefix, production_limits=True)
        stack = await exits.enter_async_context(running_stack(workspace, options, print))
        await publishing.apply(stack.kafka, read_config(other).configuration, system_clock)
        token = token_for(workspace, GREEDY)
        victim = await exits.enter_async_context(a_victim(workspace, stack))
        await victim.round(min(_WARM_UP_S, seconds))
        alone: list[float] = []
        beside: list[float] = []
        for _ in range(rounds):
            with _explained("alone", stack, victim):
                alone += await victim.round(seconds)
            async with flooded(stack.running.endpoints, token, names):
                with _explained("beside a flood", stack, victim):
                    beside += await victim.round(seconds)
        _tell(alone, beside)
        tell("valid_refused{gRPC}", victim.refused, "calls", "<=0")
        return 1 if victim.refused else 0


@contextmanager
def _explained(what: str, stack: Stack, victim: Victim) -> Iterator[None]:
    """Prints how long B waited for its answers in the block, and what the services spent."""
    spent = {name: Cpu(pid) for name, pid in stack.supervisor.pids().items()}
    begun = time.monotonic()
    yield
    took_s = time.monotonic() - begun
    p50, p99 = (1000 * percentile(victim.acknowledged, share) for share in (0.5, 0.99))
    cpu = ", ".join(f"{name} {100 * each.used_s() / took_s:.0f}" for name, each in spent.items())
    print(f"  {what}: acknowledged after {p50:.1f} ms (p50), {p99:.1f} ms (p99); CPU in %: {cpu}", flush=True)


def _tell(alone: list[float], beside: list[float]) -> None:
    for share in (0.5, 0.99):
        ms = [1000 * percentile(values, share) for values in (alone, beside)]
        print(f"Submit to offer, p{share * 100:.0f}: alone {ms[0]:.1f} ms, beside a flood {ms[1]:.1f} ms")
    ratio = percentile(beside, 0.99) / percentile(alone, 0.99)
    details = {
        f"{name}_p99_ms": round(1000 * percentile(v, 0.99), 1) for name, v in (("alone", alone), ("beside", beside))
    }
    least, most = ratio_interval(beside, alone, 0.99, RATE)
    print(f"ratio of p99 {ratio:.2f}, 95 % interval {least:.2f} to {most:.2f}, {len(beside)} samples each")
    if len(beside) < least_samples(0.99):
        print(f"  too few samples for a p99: {least_samples(0.99)} are enough, so take longer rounds or more of them")
    interval = {"interval_95": [round(least, 2), round(most, 2)]}
    tell("tenant_fairness_ratio", round(ratio, 2), "ratio", GOAL, n=len(beside), **interval, **details)


def main() -> int:
    """The command line."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    return uvloop.run(run(seconds, rounds, tuple(sys.argv[3:]) or FLOODS))


if __name__ == "__main__":
    sys.exit(main())
