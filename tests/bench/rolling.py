"""What customers wait while replicas restart one after another: `[KAFKA_BOOTSTRAP_SERVERS=…] python -m tests.bench.rolling [rate]`.

Two routers and two ingests serve. Messages arrive in an open loop, and a client that is refused, because its ingest stops,
sends the same message again, as every client should. Each router, then each ingest, is stopped with SIGTERM, starts again,
and is ready before the next one stops. A message waits from its first submission until an agent sees the offer: that
includes the edge, the lanes that move to the other replica and back, and the desks that connect to the other router.

`rolling_worst_wait_s{router}` and `{ingest}`: the longest wait of all messages that were sent from the first SIGTERM until
the service has settled. `{undisturbed}`: the longest wait of the same load before that.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc
import uvloop

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.router.v1 import records_pb2 as pb
from services.chassis.grpc.client import grpc_channel, idempotent, target_of
from services.chassis.kafka_settings import KafkaSettings
from services.cli.connection import token_for
from services.cli.desk import Desk
from services.cli.local.stack import Stack, StackOptions, running_stack, service_of
from services.cli.local.workspace import Workspace
from tests.bench.figures import NO_GOAL, tell
from tests.bench.open_offers import OpenOffers
from tests.bench.rounds import LATE_S, RoundIncomplete
from tests.bench.stand import TENANT, a_broker, a_configuration, a_home, begin

RATE, AGENTS, REPLICAS = 10.0, 8, 2
WARM_UP_S, UNDISTURBED_S, SETTLE_S = 15.0, 10.0, 5.0
READY_S: Final = 60.0
AGAIN_S: Final = 0.05
"""How long a client waits before it sends a refused message again."""
GOAL: Final = "<=1"
RESTARTED: Final = ("router", "ingest")
_PASSING: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})


@dataclass(slots=True)
class Message:
    """What became of one message; seconds on one clock."""

    submitted: float
    acknowledged: float | None = None
    offered: float | None = None
    attempts: int = 0

    @property
    def wait_s(self) -> float:
        assert self.offered is not None
        return self.offered - self.submitted


class Customers:
    """Sends messages at a steady rate, and sees their offers at the agents' desks."""

    def __init__(self, stub: Any) -> None:
        self.offers = OpenOffers()
        self._stub = stub
        self._messages: dict[str, Message] = {}
        self._of_identity: dict[str, Message] = {}
        self._early: dict[str, float] = {}
        self._open = 0
        self._none_open = asyncio.Event()

    async def write(self, rate: float) -> None:
        """Submit messages until cancelled. None waits for another."""
        begun, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
                tasks.create_task(self._submit(f"customer-{number}"))
                number += 1

    async def _submit(self, key: str) -> None:
        message = self._messages[key] = Message(time.monotonic())
        self._open += 1
        request = ingest_pb2.SubmitRequest(idempotency_key=key, native_id=key, text="hello")
        while True:
            message.attempts += 1
            try:
                accepted = await self._stub.Submit(request, metadata=idempotent(key), timeout=2)
                break
            except grpc.aio.AioRpcError as error:
                if error.code() not in _PASSING:
                    raise
                await asyncio.sleep(AGAIN_S)
        message.acknowledged = time.monotonic()
        self._of_identity[accepted.identity_id] = message
        if accepted.identity_id in self._early:  # its offer overtook the acknowledgement
            self._arrived(message, self._early.pop(accepted.identity_id))

    async def desk(self, agent: str, desk: Desk) -> None:
        """Watch one agent's session."""
        async for event in desk.events():
            for view in self.offers.handle(agent, event):
                message = self._of_identity.get(view.interaction.identity_id)
                if message is None:
                    self._early.setdefault(view.interaction.identity_id, time.monotonic())
                elif message.offered is None:
                    self._arrived(message, time.monotonic())

    def _arrived(self, message: Message, at: float) -> None:
        message.offered = at
        self._open -= 1
        self._none_open.set()

    async def since(self, begun: float) -> list[Message]:
        """Return the messages that were submitted from `begun` until now, when all of them are offered. Raises RoundIncomplete."""
        chosen = [message for message in self._messages.values() if message.submitted >= begun]
        try:
            async with asyncio.timeout(LATE_S):
                while any(message.offered is None for message in chosen):
                    self._none_open.clear()
                    await self._none_open.wait()
        except TimeoutError as error:
            missing = sum(message.offered is None for message in chosen)
            raise RoundIncomplete(f"{missing} of {len(chosen)} messages were not offered") from error
        return chosen


@asynccontextmanager
async def customers_of(workspace: Workspace, kafka: KafkaSettings) -> AsyncIterator[tuple[Stack, Customers]]:
    """Run the product with two routers and two ingests, and sign in the agents, half of them at each router."""
    file = workspace.directory("config") / "bench.yaml"
    file.write_text(a_configuration(AGENTS))
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers  # where `running_stack` looks
    options = StackOptions(config=file, routers=REPLICAS, ingests=REPLICAS, topic_prefix=kafka.topic_prefix)
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(running_stack(workspace, options, print))
        of_service = {
            service: [
                servers["grpc"] for name, servers in stack.running.endpoints.items() if service_of(name) == service
            ]
            for service in RESTARTED
        }
        operator = token_for(workspace, TENANT)
        channel = await exits.enter_async_context(
            grpc_channel(target_of(",".join(of_service["ingest"])), token=lambda _tenant: operator)
        )
        customers = Customers(ingest_pb2_grpc.IngestServiceStub(channel))
        tasks = await exits.enter_async_context(asyncio.TaskGroup())
        for number in range(AGENTS):
            agent, routers = f"a{number}", of_service["router"]
            own = [*routers[number % len(routers) :], *routers[: number % len(routers)]]
            token = token_for(workspace, TENANT, agent_id=agent)
            desk = await exits.enter_async_context(Desk(own, token, agent_id=agent, state=pb.AGENT_STATE_AVAILABLE))
            await desk.welcomed()
            exits.callback(tasks.create_task(customers.desk(agent, desk)).cancel)
        yield stack, customers


async def restart(stack: Stack, name: str) -> float:
    """Stop a process properly, and wait until it is ready again; return the seconds. Raises TimeoutError or ChaparError."""
    begun, before = time.monotonic(), stack.supervisor.restarts()[name]
    stack.supervisor.kill(name, signal.SIGTERM)
    async with asyncio.timeout(READY_S):
        while stack.supervisor.restarts()[name] == before:  # noqa: ASYNC110 - the supervisor has no event
            await asyncio.sleep(0.05)
    await stack.supervisor.wait_ready(READY_S)
    return time.monotonic() - begun


def _tell(name: str, messages: list[Message], goal: str) -> None:
    worst = max(messages, key=lambda message: message.wait_s)
    assert worst.acknowledged is not None
    waits = sorted(message.wait_s for message in messages)
    details = {
        "messages": len(messages),
        "of_it_until_acknowledged_s": round(worst.acknowledged - worst.submitted, 2),
        "p50_s": round(waits[len(waits) // 2], 3),
        "sent_again": sum(message.attempts > 1 for message in messages),
    }
    print(f"{name}: {details}", flush=True)
    tell(f"rolling_worst_wait_s{{{name}}}", round(worst.wait_s, 2), "s", goal, **details)


async def run(rate: float) -> int:
    """Print the figures; return 1 if messages were not offered."""
    async with AsyncExitStack() as exits:
        home = exits.enter_context(a_home())
        kafka = await exits.enter_async_context(a_broker())
        stack, customers = await exits.enter_async_context(customers_of(home, kafka))
        writing = asyncio.ensure_future(customers.write(rate))
        exits.push_async_callback(_cancelled, writing)
        try:
            await asyncio.sleep(WARM_UP_S)  # a bench measures over time: there is no condition to wait for
            begun = time.monotonic()
            await asyncio.sleep(UNDISTURBED_S)
            _tell("undisturbed", await customers.since(begun), NO_GOAL)
            for service in RESTARTED:
                begun = time.monotonic()
                for name in (name for name in stack.running.endpoints if service_of(name) == service):
                    print(f"{name} was ready again after {await restart(stack, name):.1f} s", flush=True)
                    await asyncio.sleep(SETTLE_S)  # partitions come back to it meanwhile: that is measured as well
                _tell(service, await customers.since(begun), GOAL)
        except RoundIncomplete as error:
            print(f"rolling: {error}", file=sys.stderr)
            return 1
    return 0


async def _cancelled(writing: asyncio.Future[None]) -> None:
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing


def main() -> int:
    """The command line."""
    begin()
    return uvloop.run(run(float(sys.argv[1]) if len(sys.argv) > 1 else RATE))


if __name__ == "__main__":
    sys.exit(main())
