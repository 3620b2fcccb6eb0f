"""The demo's customers. Each uses its channel's real protocol with the real edge, repeats messages that were not acknowledged (as providers do,
with the same ids), waits for the agent's reply at the other end of the channel, and may ask again, leave, or respond to the survey.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import smtplib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import grpc
import httpx
from websockets.exceptions import WebSocketException

from services.cli.demo.files import EVERY, GIVES, a_file
from services.cli.demo.ledger import MARK, Sent
from services.cli.local.provider_files import HeldFile, HeldFiles
from services.policy.model.templates import PERSIAN_DIGITS

GIVE_UP_S = 60.0
"""The time, in seconds, for which a message is repeated before the demo counts it as refused (it is not acknowledged, so it can't be lost)."""
OWN_END = frozenset({"webchat", "telegram", "whatsapp", "email"})
"""Channels on which the demo's customers receive replies; on the others a reply ends in the conversation."""

PERSIAN = (
    "سلام، قیمت این محصول چند است؟",
    "سفارش من هنوز نرسیده است",
    "برای خرید راهنمایی می‌خواهم",
    "دستگاه روشن نمی‌شود، چه کنم؟",
)
ENGLISH = (
    "Hello, my device does not start any more",
    "What is the price of the large one?",
    "I want to buy two of these",
    "Where is my order please?",
)
AGAIN = ("ممنون، یک سؤال دیگر هم دارم", "Thanks, one more question")


@dataclass(slots=True)
class Mailbox:
    """The messages that reached customers, by channel and address."""

    sent: Sent
    _waiting: dict[tuple[str, str], asyncio.Queue[str]] = field(default_factory=lambda: defaultdict(asyncio.Queue))

    def arrived(self, channel: str, address: str, text: str) -> None:
        """Add a message that reached this customer."""
        replies = [mark for mark in MARK.findall(text) if mark.startswith("#r")]
        self.sent.arrivals.update(replies)
        self.sent.receivers |= {(mark, channel, address) for mark in replies}
        self._waiting[channel, address].put_nowait(text)

    async def reply(self, channel: str, address: str, within_s: float) -> str | None:
        """Return the next message that is an agent's reply (acknowledgements and surveys are skipped); None when none arrives in time."""
        return await self._next(channel, address, within_s, lambda text: "#r" in text)

    async def survey(self, channel: str, address: str, within_s: float) -> str | None:
        """Return the next message that is a survey invitation; None when none arrives in time."""
        return await self._next(channel, address, within_s, lambda text: "/s/" in text)

    async def _next(self, channel: str, address: str, within_s: float, wanted: Callable[[str], bool]) -> str | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not wanted(text := await self._waiting[channel, address].get()):
                    pass
                return text
        return None


@dataclass(frozen=True, slots=True)
class World:
    """The environment of the customers: addresses, the secrets shared with providers, and their received messages."""

    tenant: str
    http: str
    smtp: str
    grpc: grpc.aio.Channel
    secrets: Mapping[str, str]
    client: httpx.AsyncClient
    mailbox: Mailbox
    sent: Sent
    run: str
    marks: Callable[[], int]
    said_all: Callable[[], None]
    """Called for each customer who has sent all their messages."""
    curtain: asyncio.Event
    """Set at the end of the demo; until then customers stay connected, so that late replies reach them."""
    held: HeldFiles = field(default_factory=HeldFiles)
    """The files that customers send, at their providers."""

    def mark(self) -> str:
        """Return a new mark for a customer's message."""
        return f"#d{self.run}-{self.marks()}"


@dataclass(frozen=True, slots=True)
class Mood:
    """The planned actions of a customer, decided in advance so that a seed repeats a demo."""

    channel: str
    number: int
    text: str
    after_s: float
    asks_again: bool
    leaves: bool
    repeats: bool
    """The provider delivers the first message twice, as providers do."""
    score: int | None
    """The score with which the customer responds to the survey in the channel; None: no response."""
    late: bool = False
    """The provider delivers the message a day late, so that its time for free replies is over."""


def cast(seed: int, counts: Mapping[str, int], within_s: float) -> list[Mood]:
    """Plan all customers of a demo."""
    chance = random.Random(seed)  # noqa: S311 a play, not a secret
    moods = [
        Mood(
            channel=channel,
            number=number,
            text=chance.choice(PERSIAN if chance.random() < 0.7 else ENGLISH),
            after_s=chance.uniform(0, within_s),
            asks_again=chance.random() < 0.25,
            leaves=channel in {"webchat", "grpc"} and chance.random() < 0.12,
            repeats=chance.random() < 0.2,
            score=chance.choices([5, 4, 3, 2, 1, None], [40, 25, 8, 4, 3, 20])[0],
            late=channel == "whatsapp" and number == 0,
        )
        for channel, count in counts.items()
        for number in range(count)
    ]
    return sorted(moods, key=lambda mood: mood.after_s)


async def play(world: World, mood: Mood, kinds: Mapping[str, type[Customer]], patience_s: float) -> None:
    """Act as one customer, from arrival to the end of the demo."""
    await asyncio.sleep(mood.after_s)
    customer = kinds[mood.channel](world, mood)
    async with customer:
        try:
            await _act(world, mood, customer, patience_s)
        finally:
            world.said_all()
        await world.curtain.wait()


async def _act(world: World, mood: Mood, customer: Customer, patience_s: float) -> None:
    with_file = mood.channel in GIVES and mood.number % EVERY == 0
    if not await customer.say(mood.text, repeat=mood.repeats, with_file=with_file):
        return
    if mood.leaves:
        await customer.leave()
        return
    if mood.channel not in OWN_END or await customer.reply(patience_s) is None:
        return
    if mood.asks_again and await customer.say(random.choice(AGAIN)):  # noqa: S311
        await customer.reply(patience_s)
    # A customer who was invited recently is not invited again, so not every customer gets an invitation.
    if mood.score is not None and await world.mailbox.survey(mood.channel, customer.address, patience_s) is not None:
        await customer.answer(str(mood.score).translate(PERSIAN_DIGITS) if mood.number % 2 else str(mood.score))


class Customer:
    """The common part of all channels: marks, and repeating until acknowledged."""

    def __init__(self, world: World, mood: Mood) -> None:
        self.world = world
        self.mood = mood
        self.address = f"{mood.channel}-{mood.number}"
        self.file: HeldFile | None = None
        """The file of the next message."""

    async def __aenter__(self) -> Customer:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def say(self, text: str, *, repeat: bool = False, with_file: bool = False) -> bool:
        """Send a message with a mark, and a file if asked for. Returns whether it was acknowledged."""
        mark = self.world.mark()
        self.world.sent.writers[mark] = (self.mood.channel, self.address)
        self.file = file = a_file(mark) if with_file else None
        if not await self._until_acknowledged(f"{text} {mark}", twice=repeat):
            return False
        self.world.sent.acknowledged[mark] = self.mood.channel
        if file is not None:
            self.world.sent.files[file.name] = self.mood.channel
        return True

    async def answer(self, text: str) -> None:
        """Send a message without a mark: a response to the survey is not counted as a message."""
        self.file = None
        await self._until_acknowledged(text, twice=False)

    async def leave(self) -> None:
        """End the conversation, if the channel supports it."""

    async def reply(self, within_s: float) -> str | None:
        """Return the agent's next reply; None when none arrives in time."""
        return await self.world.mailbox.reply(self.mood.channel, self.address, within_s)

    async def _until_acknowledged(self, text: str, *, twice: bool) -> bool:
        attempt = await self._prepared(text)
        done = await persist(attempt)
        if done and twice:
            await persist(attempt)
        return done

    async def _prepared(self, text: str) -> Callable[[], Awaitable[bool]]:
        """Prepare one attempt that can be repeated unchanged: the same bytes, the same ids."""
        raise NotImplementedError

    async def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> bool:
        answer = await self.world.client.post(f"http://{self.world.http}{path}", content=body, headers=dict(headers))
        return answer.is_success


async def persist(attempt: Callable[[], Awaitable[bool]]) -> bool:
    """Repeat with growing pauses until the message is acknowledged, at most for GIVE_UP_S. Returns whether it was."""
    pause = 0.1
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GIVE_UP_S):
            while True:
                with contextlib.suppress(
                    httpx.HTTPError, OSError, WebSocketException, smtplib.SMTPException, grpc.aio.AioRpcError
                ):
                    if await attempt():
                        return True
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2.0)
    return False
