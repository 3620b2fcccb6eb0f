"""The demo's agents: on real sessions they accept offers (and sometimes decline), reply, and complete."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Iterator

import grpc

from chapar.common.v1.types_pb2 import SentFile
from chapar.ingest.v1 import ingest_pb2_grpc
from chapar.router.v1 import records_pb2, router_pb2
from services.chassis import ids
from services.cli.connection import channel_to, tokens_for
from services.cli.demo.files import CARRIES, EVERY, uploaded_file
from services.cli.demo.ledger import Sent
from services.cli.desk import Desk
from services.cli.local.stack import Stack, service_of
from services.cli.local.workspace import Workspace

AGENTS = ("sara", "omid", "leila", "david")
DECLINES = 0.05
UPLOADS = 5
REPLIES = (
    "سلام، همین حالا بررسی می‌کنم و خبر می‌دهم.",
    "بله، موجود است.",
    "Hello, this is solved now.",
    "سفارش شما فردا می‌رسد.",
)


class DemoAgent:
    """One agent: replies to every assigned interaction, then completes it; replies again to a customer who writes again."""

    def __init__(
        self,
        desk: Desk,
        outbound: ingest_pb2_grpc.OutboundServiceAsyncStub,
        tenant: str,
        agent_id: str,
        run: str,
        sent: Sent,
        chance: random.Random,
        marks: Iterator[int],
    ) -> None:
        self._outbound = outbound
        self._tenant = tenant
        self._desk = desk
        self._agent_id = agent_id
        self._run = run
        self._sent = sent
        self._chance = chance
        self._marks = marks
        self._held: dict[str, asyncio.Event] = {}
        """The interactions that the agent holds; the event is set when the customer wrote again."""

    async def work(self) -> None:
        """Work until the desk closes."""
        async with asyncio.TaskGroup() as tasks, contextlib.aclosing(self._desk.events()) as events:
            async for event in events:
                match event.WhichOneof("response"):
                    case "welcome":
                        snapshot = event.welcome.snapshot
                        for offer in snapshot.offers:
                            tasks.create_task(self._consider(offer))
                        for assignment in snapshot.assignments:
                            self._begin(tasks, assignment)
                    case "offered":
                        tasks.create_task(self._consider(event.offered))
                    case "assigned":
                        self._begin(tasks, event.assigned)
                    case "ended":
                        self._held.pop(event.ended.interaction_id, None)
                    case "customer_acted" if (again := self._held.get(event.customer_acted.interaction_id)) is not None:
                        again.set()
                    case _:
                        continue

    def _begin(self, tasks: asyncio.TaskGroup, assignment: records_pb2.AssignmentView) -> None:
        about = assignment.interaction
        if not assignment.wrapping_up and about.interaction_id not in self._held:
            self._held[about.interaction_id] = asyncio.Event()
            tasks.create_task(self._handle(about.interaction_id, about.channel))

    async def _consider(self, offer: records_pb2.OfferView) -> None:
        await self._think(0.1, 0.5)
        if self._chance.random() < DECLINES:
            await self._desk.decline(offer.offer_id, "busy elsewhere", retry_after_ms=2_000)
        else:
            await self._desk.accept(offer.offer_id)

    async def _handle(self, interaction_id: str, channel: str) -> None:
        again = self._held[interaction_id]
        await self._think(0.3, 1.2)
        await self._answer(interaction_id, channel)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._chance.uniform(0.5, 1.5)):
                await again.wait()
                await self._answer(interaction_id)
        await self._desk.complete(interaction_id, "solved")

    async def _answer(self, interaction_id: str, channel: str = "") -> None:
        number = next(self._marks)
        mark = f"#r{self._run}-{number}"
        wanted = channel in CARRIES and (number % EVERY == 0 or channel not in self._sent.channels_of_files)
        files = await self._uploaded(interaction_id, mark) if wanted else []
        result = await self._desk.reply(interaction_id, f"{self._chance.choice(REPLIES)} {mark}", files=files)
        if result.ok:
            # The gateway derives the id in the same way: the same request gives the same delivery.
            delivery_id = delivery_id_of(self._tenant, self._agent_id, result)
            self._sent.recorded_replies[mark] = delivery_id
            self._sent.recorded_files |= {file.name: delivery_id for file in files}
            self._sent.channels_of_files |= {channel for _ in files}

    async def _uploaded(self, interaction_id: str, mark: str) -> list[SentFile]:
        """Upload a file for a reply. History may not know the interaction yet, or may be restarting; then the reply has none."""
        for _ in range(UPLOADS):
            with contextlib.suppress(grpc.aio.AioRpcError):
                return [await uploaded_file(self._outbound, interaction_id, mark)]
            await self._think(0.3, 0.6)
        return []

    async def _think(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self._chance.uniform(least_s, most_s))


def delivery_id_of(tenant: str, agent_id: str, result: router_pb2.RequestResult) -> str:
    """Return the id of the delivery of a recorded reply: the gateway derives the request's id, the sender the delivery's."""
    return ids.derive(tenant, ids.derive(tenant, agent_id, result.request_id))


@contextlib.asynccontextmanager
async def staff(workspace: Workspace, stack: Stack, run: str, sent: Sent, seed: int) -> AsyncIterator[None]:
    """Sign all agents in and let them work until the block ends."""
    routers = [s["grpc"] for name, s in stack.running.endpoints.items() if service_of(name) == "router"]
    tenant = stack.running.tenant
    marks = itertools.count(1)
    async with contextlib.AsyncExitStack() as desks, asyncio.TaskGroup() as tasks:
        working = []
        for number, agent_id in enumerate(AGENTS):
            token = tokens_for(workspace, tenant, agent_id=agent_id)
            desk = await desks.enter_async_context(
                Desk(routers, token, agent_id=agent_id, state=records_pb2.AGENT_STATE_AVAILABLE)
            )
            await desk.welcomed()
            chance = random.Random(f"{seed}/{number}")  # noqa: S311 a demo, not a secret
            channel = await desks.enter_async_context(channel_to(workspace, "ingest", agent_id=agent_id))
            outbound = ingest_pb2_grpc.OutboundServiceStub(channel)
            agent = DemoAgent(desk, outbound, tenant, agent_id, run, sent, chance, marks)
            working.append(tasks.create_task(agent.work(), name=f"agent {agent_id}"))
        try:
            yield
        finally:
            for task in working:
                task.cancel()
