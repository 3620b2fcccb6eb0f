"""The campaign's customers: they arrive at a steady rate on every channel, and repeat what was not acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from services.chassis.clock import system_clock
from services.cli.demo.channels import KINDS
from services.cli.demo.customers import Customer, Mood, World
from tests.chaos.campaign.desks import WATCHED
from tests.chaos.campaign.observed import Observed
from tests.chaos.history.model import Acknowledged

SHARES: Final[Mapping[tuple[str, str], float]] = {
    ("demo", "webchat"): 0.15,
    ("demo", "telegram"): 0.2,
    ("demo", "whatsapp"): 0.15,
    ("demo", "email"): 0.1,
    ("demo", "webhook"): 0.1,
    ("demo", "grpc"): 0.15,
    ("bank", "webchat"): 0.05,
    ("bank", "webhook"): 0.05,
    ("bank", "grpc"): 0.05,
}
"""The share of each tenant and channel."""
TEXTS: Final = ("I want to buy one", "Where is my order?", "It does not start", "سلام، قیمت چند است؟")
PATIENCE_S: Final = 20.0
WRITES_AGAIN, LEAVES, REPEATS, ANSWERS = 0.25, 0.04, 0.15, 0.3


@dataclass(frozen=True, slots=True)
class Traffic:
    """`rate` customers a second for `seconds`; each writes one to three messages."""

    rate: float = 12.0
    seconds: float = 30.0


class Crowd:
    """Plays the customers of one run."""

    def __init__(self, worlds: Mapping[str, World], run: str, observed: Observed, seed: int) -> None:
        self._worlds = worlds
        self._run = run
        self._observed = observed
        self._chance = random.Random(seed)
        self._marks = itertools.count(1)
        self._numbers = itertools.count(1)
        self._curtain = asyncio.Event()
        self._acting: set[asyncio.Task[None]] = set()
        self._factor = 1.0
        self._kept = 0

    async def arrive(self, traffic: Traffic) -> None:
        """Let customers arrive, and return when each has sent all their messages."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as tasks:
            while loop.time() - begun < traffic.seconds or self._kept:
                tenant, channel = self._chance.choices(list(SHARES), list(SHARES.values()))[0]
                tasks.create_task(self._play(tenant, channel), name=f"customer {channel}")
                await asyncio.sleep(self._chance.expovariate(traffic.rate * self._factor))

    @contextmanager
    def kept_arriving(self) -> Iterator[None]:
        """Let customers arrive as long as the block runs, also when their time is over."""
        self._kept += 1
        try:
            yield
        finally:
            self._kept -= 1

    def hurry(self, factor: float) -> None:
        """Let customers arrive at another rate from now on."""
        self._factor = factor

    async def leave(self) -> None:
        """Let all customers disconnect: what arrives after that is not seen."""
        self._curtain.set()
        await asyncio.gather(*self._acting)

    async def _play(self, tenant: str, channel: str) -> None:
        """Send all messages of one customer. The customer stays connected until the end, so that late replies are seen."""
        world, chance = self._worlds[tenant], self._chance
        mood = Mood(channel, next(self._numbers), "", 0, False, False, False, None)
        customer = KINDS[channel](world, mood)
        said_all = asyncio.Event()
        task = asyncio.create_task(self._stay(customer, lambda: self._act(tenant, customer, chance), said_all))
        self._acting.add(task)
        await said_all.wait()

    async def _stay(self, customer: Customer, act: Callable[[], Awaitable[None]], said_all: asyncio.Event) -> None:
        async with customer:
            try:
                await act()
            finally:
                said_all.set()
            await self._curtain.wait()

    async def _act(self, tenant: str, customer: Customer, chance: random.Random) -> None:
        channel = customer.mood.channel
        if not await self._say(tenant, customer, 0, twice=chance.random() < REPEATS):
            return
        if channel in ("webchat", "grpc") and chance.random() < LEAVES:
            await customer.leave()
            return
        if channel not in WATCHED:
            if chance.random() < WRITES_AGAIN:
                await self._say(tenant, customer, 1)
            return
        if await customer.reply(PATIENCE_S) is None:
            return
        number = 1
        while chance.random() < WRITES_AGAIN and await self._say(tenant, customer, number):
            number += 1
            await customer.reply(PATIENCE_S)
        if chance.random() < ANSWERS:
            world = self._worlds[tenant]
            if await world.mailbox.survey(channel, customer.address, PATIENCE_S / 4) is not None:
                await customer.answer(str(chance.randint(1, 5)))

    async def _say(self, tenant: str, customer: Customer, number: int, *, twice: bool = False) -> bool:
        mark = f"#c{self._run}-{next(self._marks)}"
        text = f"{self._chance.choice(TEXTS)} {mark}"
        with self._observed.customers.one():
            done = await customer._until_acknowledged(text, twice=twice)
        if done:
            name = f"{customer.mood.channel}/{customer.mood.number}"
            message = Acknowledged(tenant, customer.mood.channel, name, mark, number, system_clock())
            self._observed.acknowledged.append(message)
        else:
            self._observed.refused[f"{tenant}/{customer.mood.channel}"] += 1
        return done
