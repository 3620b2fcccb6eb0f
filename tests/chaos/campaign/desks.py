"""The campaign's agents: they accept, decline and overlook offers, reply, transfer, and complete, on real sessions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from chapar.router.v1 import records_pb2, router_pb2
from services.chassis.clock import system_clock
from services.cli.desk import Desk
from tests.chaos.campaign.observed import Observed
from tests.chaos.history.model import ConfirmedCommand, ConfirmedReply

DECLINES, OVERLOOKS, TRANSFERS = 0.04, 0.01, 0.02
WATCHED = frozenset({"webchat", "telegram", "whatsapp", "email"})
"""Channels on which the campaign sees what arrives at the customer."""


class Agent:
    """One agent at one desk."""

    def __init__(
        self, desk: Desk, tenant: str, agent_id: str, run: str, observed: Observed, marks: Iterator[int], seed: str
    ) -> None:
        self._desk = desk
        self._tenant = tenant
        self._id = agent_id
        self._run = run
        self._observed = observed
        self._marks = marks
        self._chance = random.Random(seed)
        self._held: dict[str, asyncio.Event] = {}
        """Interactions that the agent works on; the event is set when the customer wrote again."""

    async def work(self) -> None:
        """Work until the desk closes."""
        async with asyncio.TaskGroup() as tasks, contextlib.aclosing(self._desk.events()) as events:
            async for event in events:
                match event.WhichOneof("response"):
                    case "welcome":
                        self._resume(tasks, event.welcome.snapshot)
                    case "offered":
                        tasks.create_task(self._consider(event.offered))
                    case "assigned":
                        self._begin(tasks, event.assigned)
                    case "ended":
                        self._held.pop(event.ended.interaction_id, None)
                    case "state_changed" if event.state_changed.after == records_pb2.AGENT_STATE_NOT_RESPONDING:
                        tasks.create_task(self._available())
                    case "customer_acted" if event.customer_acted.interaction_id in self._held:
                        self._held[event.customer_acted.interaction_id].set()
                    case _:
                        continue

    def _resume(self, tasks: asyncio.TaskGroup, snapshot: records_pb2.AgentSnapshot) -> None:
        if snapshot.state != records_pb2.AGENT_STATE_AVAILABLE:
            tasks.create_task(self._available())
        for offer in snapshot.offers:
            tasks.create_task(self._consider(offer))
        for assignment in snapshot.assignments:
            self._begin(tasks, assignment)

    async def _available(self) -> None:
        await self._call(lambda: self._desk.set_state(records_pb2.AGENT_STATE_AVAILABLE))

    async def _call(self, call: Callable[[], Awaitable[router_pb2.RequestResult]]) -> bool:
        """Make one request. Returns whether it was carried out."""
        with self._observed.agents.one():
            return (await call()).ok

    async def _consider(self, offer: records_pb2.OfferView) -> None:
        await asyncio.sleep(self._chance.uniform(0.02, 0.2))
        drawn = self._chance.random()
        if drawn < OVERLOOKS:
            return
        if drawn < OVERLOOKS + DECLINES:
            if await self._call(lambda: self._desk.decline(offer.offer_id, "busy", retry_after_ms=500)):
                self._confirmed("decline", offer.offer_id)
        elif await self._call(lambda: self._desk.accept(offer.offer_id)):
            self._confirmed("accept", offer.offer_id)

    def _confirmed(self, kind: str, subject: str) -> None:
        self._observed.commands.append(ConfirmedCommand(kind, self._id, subject, system_clock()))

    def _begin(self, tasks: asyncio.TaskGroup, assignment: records_pb2.AssignmentView) -> None:
        interaction = assignment.interaction
        if not assignment.wrapping_up and interaction.interaction_id not in self._held:
            self._held[interaction.interaction_id] = asyncio.Event()
            tasks.create_task(self._handle(interaction.interaction_id, interaction.channel))

    async def _handle(self, interaction_id: str, channel: str) -> None:
        again = self._held[interaction_id]
        await asyncio.sleep(self._chance.uniform(0.05, 0.3))
        await self._answer(interaction_id, channel)
        if self._chance.random() < TRANSFERS:
            await self._call(lambda: self._desk.transfer(interaction_id, queue="support"))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._chance.uniform(0.2, 0.8)):
                await again.wait()
                await self._answer(interaction_id, channel)
        if await self._call(lambda: self._desk.complete(interaction_id, "solved")):
            self._confirmed("complete", interaction_id)

    async def _answer(self, interaction_id: str, channel: str) -> None:
        mark = f"#r{self._run}-{next(self._marks)}"
        if await self._call(lambda: self._desk.reply(interaction_id, f"Yes, of course. {mark}")):
            reply = ConfirmedReply(self._tenant, self._id, interaction_id, mark, system_clock(), channel in WATCHED)
            self._observed.replies.append(reply)


@contextlib.asynccontextmanager
async def staff(
    routers: Sequence[str],
    tokens: Callable[[str, str], Callable[[], str]],
    agents: Sequence[tuple[str, str]],
    run: str,
    observed: Observed,
) -> AsyncIterator[None]:
    """Sign in agents (tenant, id) and let them work until the block ends. `tokens`: tenant and agent to a source of tokens."""
    marks = itertools.count(1)
    async with contextlib.AsyncExitStack() as desks, asyncio.TaskGroup() as tasks:
        working = []
        for number, (tenant, agent_id) in enumerate(agents):
            # Half of the agents begin at each replica.
            targets = [*routers[number % len(routers) :], *routers[: number % len(routers)]]
            desk = await desks.enter_async_context(
                Desk(targets, tokens(tenant, agent_id), agent_id=agent_id, state=records_pb2.AGENT_STATE_AVAILABLE)
            )
            await desk.welcomed()
            agent = Agent(desk, tenant, agent_id, run, observed, marks, f"{run}/{agent_id}")
            working.append(tasks.create_task(agent.work(), name=f"agent {agent_id}"))
        try:
            yield
        finally:
            for task in working:
                task.cancel()
