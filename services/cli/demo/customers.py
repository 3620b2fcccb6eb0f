"""Customers of the demonstration. Each speaks its channel's real protocol to the real edge, repeats what was not acknowledged (as providers do,
with the same ids), waits for the agent's answer at the other end of the channel, and may ask again, leave, or answer the survey.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import random
import smtplib
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage

import grpc
import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.clock import system_clock
from services.cli.demo.ledger import MARK, Sent
from services.cli.workspace import WEBHOOK_SECRET

GIVE_UP_S = 60.0
"""How long a message is repeated before the demo counts it as refused (then it is not acknowledged, so it cannot be lost)."""
OWN_END = frozenset({"webchat", "telegram", "whatsapp", "email"})
"""Channels whose customers see replies themselves; for the others the conversation is the end."""

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
    """What reached customers, by channel and address."""

    sent: Sent
    _waiting: dict[tuple[str, str], asyncio.Queue[str]] = field(default_factory=lambda: defaultdict(asyncio.Queue))

    def arrived(self, channel: str, address: str, text: str) -> None:
        """A message reached this customer."""
        self.sent.arrivals.update(mark for mark in MARK.findall(text) if mark.startswith("#r"))
        self._waiting[channel, address].put_nowait(text)

    async def reply(self, channel: str, address: str, within_s: float) -> str | None:
        """The next message that is an agent's reply (acknowledgements and surveys are passed over); None when none comes in time."""
        return await self._next(channel, address, within_s, lambda text: "#r" in text)

    async def survey(self, channel: str, address: str, within_s: float) -> str | None:
        """The next message that asks how it was."""
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
    """What customers know of the outside: addresses, what providers and we agreed on, and their own memory."""

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
    """Called by each customer who has said what they wanted."""
    curtain: asyncio.Event
    """Set at the end of the play; until then customers stay where they are, so that late answers reach them."""

    def mark(self) -> str:
        """A new mark for a customer's message."""
        return f"#d{self.run}-{self.marks()}"


@dataclass(frozen=True, slots=True)
class Mood:
    """What a customer will do, decided beforehand so that a seed repeats a demo."""

    channel: str
    number: int
    text: str
    after_s: float
    asks_again: bool
    leaves: bool
    repeats: bool
    """The provider delivers the first message twice, as providers do."""
    score: int | None
    """Answers the survey in the channel with this, or not."""


def cast(seed: int, counts: Mapping[str, int], within_s: float) -> list[Mood]:
    """All customers of a demo."""
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
        )
        for channel, count in counts.items()
        for number in range(count)
    ]
    return sorted(moods, key=lambda mood: mood.after_s)


async def play(world: World, mood: Mood, patience_s: float) -> None:
    """One customer, from arriving to the curtain."""
    await asyncio.sleep(mood.after_s)
    customer = _KINDS[mood.channel](world, mood)
    async with customer:
        try:
            await _act(world, mood, customer, patience_s)
        finally:
            world.said_all()
        await world.curtain.wait()


async def _act(world: World, mood: Mood, customer: Customer, patience_s: float) -> None:
    if not await customer.say(mood.text, repeat=mood.repeats):
        return
    if mood.leaves:
        await customer.leave()
        return
    if mood.channel not in OWN_END or await customer.reply(patience_s) is None:
        return
    if mood.asks_again and await customer.say(random.choice(AGAIN)):  # noqa: S311
        await customer.reply(patience_s)
    # Who was asked lately is not asked again, so not everybody's question comes.
    if mood.score is not None and await world.mailbox.survey(mood.channel, customer.address, patience_s / 2) is not None:
        await customer.answer(str(mood.score).translate(_TO_PERSIAN) if mood.number % 2 else str(mood.score))


class Customer:
    """What all channels share: marks, and repeating until acknowledged."""

    def __init__(self, world: World, mood: Mood) -> None:
        self.world = world
        self.mood = mood
        self.address = f"{mood.channel}-{mood.number}"

    async def __aenter__(self) -> Customer:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def say(self, text: str, *, repeat: bool = False) -> bool:
        """Writes with a mark; whether it was acknowledged."""
        mark = self.world.mark()
        if not await self._until_acknowledged(f"{text} {mark}", twice=repeat):
            return False
        self.world.sent.acknowledged[mark] = self.mood.channel
        return True

    async def answer(self, text: str) -> None:
        """Writes without a mark: an answer to the survey is no message to count."""
        await self._until_acknowledged(text, twice=False)

    async def leave(self) -> None:
        """Ends the contact, where the channel can say so."""

    async def reply(self, within_s: float) -> str | None:
        """The agent's next reply."""
        return await self.world.mailbox.reply(self.mood.channel, self.address, within_s)

    async def _until_acknowledged(self, text: str, *, twice: bool) -> bool:
        attempt = await self._prepared(text)
        done = await _persist(attempt)
        if done and twice:
            await _persist(attempt)
        return done

    async def _prepared(self, text: str) -> Callable[[], Awaitable[bool]]:
        """One attempt, to be repeated as it is: the same bytes, the same ids."""
        raise NotImplementedError

    async def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> bool:
        answer = await self.world.client.post(f"http://{self.world.http}{path}", content=body, headers=dict(headers))
        return answer.is_success


async def _persist(attempt: Callable[[], Awaitable[bool]]) -> bool:
    """Repeats with growing pauses until it is acknowledged, for a while."""
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


class WebchatCustomer(Customer):
    """A browser's socket; opens it anew whenever it breaks, and goes on where it was."""

    def __init__(self, world: World, mood: Mood) -> None:
        super().__init__(world, mood)
        self._acks: dict[str, asyncio.Event] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._seen: set[tuple[str, int]] = set()
        self._token = ""
        self._after: dict[str, object] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Customer:
        self._task = asyncio.create_task(self._stay_connected(), name=f"chat {self.address}")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def leave(self) -> None:
        await self._send_until_acked({"type": "end", "id": str(uuid.uuid4())})

    async def _until_acknowledged(self, text: str, *, twice: bool) -> bool:
        frame = {"type": "message", "id": str(uuid.uuid4()), "text": text}
        done = await self._send_until_acked(frame)
        if done and twice:
            self._queue.put_nowait(json.dumps(frame))
        return done

    async def _send_until_acked(self, frame: dict[str, str]) -> bool:
        acked = self._acks[frame["id"]] = asyncio.Event()

        async def attempt() -> bool:
            self._queue.put_nowait(json.dumps(frame))
            async with asyncio.timeout(3):
                await acked.wait()
            return True

        return await _persist(attempt)

    async def _stay_connected(self) -> None:
        while True:
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                url = f"ws://{self.world.http}/v1/{self.world.tenant}/webchat/main/ws"
                async with connect(url, open_timeout=5) as socket:
                    hello: dict[str, object] = {"type": "hello", "token": self._token, "name": "مشتری"}
                    if self._after is not None:
                        hello["after"] = self._after
                    await socket.send(json.dumps(hello))
                    async with asyncio.TaskGroup() as group:
                        writer = group.create_task(self._write(socket.send))
                        try:
                            async for frame in socket:
                                self._take(json.loads(frame))
                        finally:
                            writer.cancel()
            await asyncio.sleep(0.2)

    async def _write(self, send: Callable[[str], Awaitable[None]]) -> None:
        while True:
            await send(await self._queue.get())

    def _take(self, frame: dict[str, object]) -> None:
        if frame["type"] == "welcome" and frame["token"]:
            self._token = str(frame["token"])
        elif frame["type"] == "ack" and (acked := self._acks.get(str(frame["id"]))) is not None:
            acked.set()
        elif frame["type"] == "message":
            place = (str(frame["conversation"]), int(str(frame["seq"])))
            self._after = {"conversation": place[0], "seq": place[1]}
            if place not in self._seen:
                self._seen.add(place)
                if frame["from"] != "customer":
                    self.world.mailbox.arrived("webchat", self.address, str(frame["text"]))


class TelegramCustomer(Customer):
    """Telegram's webhook, as Telegram calls it."""

    def __init__(self, world: World, mood: Mood) -> None:
        super().__init__(world, mood)
        self.chat_id = _native_number(world.run, mood.number)
        self.address = str(self.chat_id)

    async def _prepared(self, text: str) -> Callable[[], Awaitable[bool]]:
        message_id = random.randrange(1, 2**30)  # noqa: S311
        person = {"id": self.chat_id, "is_bot": False, "first_name": "مریم", "language_code": "fa"}
        message = {
            "message_id": message_id,
            "date": system_clock() // 1000,
            "chat": {"id": self.chat_id, "type": "private"},
            "from": person,
            "text": text,
        }
        body = json.dumps({"update_id": message_id, "message": message}).encode()
        headers = {
            "content-type": "application/json",
            "x-telegram-bot-api-secret-token": self.world.secrets["CHAPAR_DEMO_TELEGRAM_SECRET"],
        }
        return lambda: self._post(f"/v1/{self.world.tenant}/telegram/main", body, headers)


class WhatsappCustomer(Customer):
    """WhatsApp's webhook: JSON with escaped Unicode, signed over its bytes."""

    def __init__(self, world: World, mood: Mood) -> None:
        super().__init__(world, mood)
        self.address = f"98912{_native_number(world.run, mood.number) % 10_000_000:07d}"

    async def _prepared(self, text: str) -> Callable[[], Awaitable[bool]]:
        message = {
            "from": self.address,
            "id": f"wamid.{uuid.uuid4().hex}",
            "timestamp": str(system_clock() // 1000),
            "type": "text",
            "text": {"body": text},
        }
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "982100000000", "phone_number_id": "100200300"},
            "contacts": [{"profile": {"name": "رضا"}, "wa_id": self.address}],
            "messages": [message],
        }
        entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
        secret = self.world.secrets["CHAPAR_DEMO_WHATSAPP_SECRET"].encode()
        digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-hub-signature-256": f"sha256={digest}"}
        return lambda: self._post(f"/v1/{self.world.tenant}/whatsapp/main", body, headers)


class WebhookCustomer(Customer):
    """Another system's signed webhook (Standard Webhooks)."""

    async def _prepared(self, text: str) -> Callable[[], Awaitable[bool]]:
        message_id = f"msg_{uuid.uuid4().hex}"
        person = {"id": f"{self.world.run}-{self.address}", "name": "شرکت"}
        body = json.dumps({"message_id": message_id, "customer": person, "text": text}).encode()
        key = base64.b64decode(self.world.secrets[WEBHOOK_SECRET].removeprefix("whsec_"))
        stamp = str(system_clock() // 1000)
        signature = hmac.new(key, b".".join((message_id.encode(), stamp.encode(), body)), hashlib.sha256).digest()
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": "v1," + base64.b64encode(signature).decode(),
        }
        return lambda: self._post(f"/v1/{self.world.tenant}/webhook/main", body, headers)


class EmailCustomer(Customer):
    """A mail server that delivers by SMTP and tries again on 4xx."""

    def __init__(self, world: World, mood: Mood) -> None:
        super().__init__(world, mood)
        self.address = f"customer-{world.run}-{mood.number}@mail.example"

    async def _prepared(self, text: str) -> Callable[[], Awaitable[bool]]:
        mail = EmailMessage()
        mail["From"] = f"مشتری {self.mood.number} <{self.address}>"
        mail["To"] = "support@demo.example"
        mail["Subject"] = "پرسش دربارهٔ سفارش"
        mail["Message-ID"] = f"<{uuid.uuid4().hex}@mail.example>"
        mail.set_content(text)
        host, _, port = self.world.smtp.rpartition(":")

        def deliver() -> bool:
            with smtplib.SMTP(host, int(port), timeout=10) as server:
                return not server.send_message(mail, self.address, ["support@demo.example"])

        return lambda: asyncio.to_thread(deliver)


class GrpcCustomer(Customer):
    """Another system that submits by gRPC."""

    async def leave(self) -> None:
        request = self._request("", customer_left=True)
        await _persist(lambda: self._submit(request))

    async def _prepared(self, text: str) -> Callable[[], Awaitable[bool]]:
        request = self._request(text)
        return lambda: self._submit(request)

    def _request(self, text: str, *, customer_left: bool = False) -> ingest_pb2.SubmitRequest:
        return ingest_pb2.SubmitRequest(
            idempotency_key=uuid.uuid4().hex,
            native_id=f"{self.world.run}-{self.address}",
            text=text,
            labels={"tier": "gold"} if self.mood.number % 3 == 0 else {},
            customer_left=customer_left,
        )

    async def _submit(self, request: ingest_pb2.SubmitRequest) -> bool:
        answer = await ingest_pb2_grpc.IngestServiceStub(self.world.grpc).Submit(request, timeout=5)
        return bool(answer.message_id)


_KINDS: Mapping[str, type[Customer]] = {
    "webchat": WebchatCustomer,
    "telegram": TelegramCustomer,
    "whatsapp": WhatsappCustomer,
    "webhook": WebhookCustomer,
    "email": EmailCustomer,
    "grpc": GrpcCustomer,
}
_TO_PERSIAN = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


def _native_number(run: str, number: int) -> int:
    """An id that no other run of the demo has."""
    return 10_000_000 + int(hashlib.sha256(f"{run}/{number}".encode()).hexdigest()[:12], 16) % 4_000_000_000
