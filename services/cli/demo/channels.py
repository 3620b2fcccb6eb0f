"""The demo's channels. Each uses the protocol of its provider: the same headers, the same signatures, the same ids when it repeats a message."""

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
from collections.abc import Awaitable, Callable, Mapping
from email.message import EmailMessage
from typing import cast

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.clock import system_clock
from services.cli.demo.customers import Customer, Mood, World, persist
from services.cli.local.kept_secrets import WEBHOOK_SECRET
from services.cli.local.provider_files import HeldFile

_LATE_S = 25 * 3_600
"""How late the provider delivers a late message, in seconds: WhatsApp takes free replies for 24 hours."""


class WebchatCustomer(Customer):
    """A browser's web socket; when it breaks, opens a new one and continues from the same place."""

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
        frame: dict[str, object] = {"type": "message", "id": str(uuid.uuid4()), "text": text}
        if self.file is not None:
            receipt = await self._uploaded(self.file)
            if not receipt:
                return False
            frame["files"] = [receipt]
        done = await self._send_until_acked(frame)
        if done and twice:
            self._queue.put_nowait(json.dumps(frame))
        return done

    async def _uploaded(self, file: HeldFile) -> str:
        """Upload a file as the page does; returns the receipt that the message names, empty if it was never taken."""
        receipts: list[str] = []

        async def attempt() -> bool:
            url = f"http://{self.world.http}/v1/{self.world.tenant}/webchat/main/files?name={file.name}"
            proof = {"authorization": f"Bearer {self._token}"}
            answer = await self.world.client.post(url, content=file.content, headers=proof)
            if answer.is_success:
                receipts.append(str(answer.json()["file"]))
            return answer.is_success

        return receipts[0] if await persist(attempt) else ""

    async def _send_until_acked(self, frame: dict[str, object]) -> bool:
        acked = self._acks[str(frame["id"])] = asyncio.Event()

        async def attempt() -> bool:
            self._queue.put_nowait(json.dumps(frame))
            async with asyncio.timeout(3):
                await acked.wait()
            return True

        return await persist(attempt)

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._one_socket()
            except* (OSError, WebSocketException, TimeoutError):
                # Like a browser: whatever ended the socket, open another and continue from the same place.
                await asyncio.sleep(0.2)

    async def _one_socket(self) -> None:
        url = f"ws://{self.world.http}/v1/{self.world.tenant}/webchat/main/ws"
        async with connect(url, open_timeout=5) as socket:
            hello: dict[str, object] = {"type": "hello", "token": self._token, "name": "مشتری"}
            if self._after is not None:
                hello["after"] = self._after
            await socket.send(json.dumps(hello))
            # As the page does: a new visitor who writes before the welcome cannot say later that it was they.
            self._take(json.loads(await socket.recv()))
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(socket.send))
                try:
                    async for frame in socket:
                        self._take(json.loads(frame))
                finally:
                    writer.cancel()

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
                    for file in cast("list[dict[str, str]]", frame["files"]):
                        self.world.sent.file_arrivals[file["name"], "webchat"] += 1
                    self.world.mailbox.arrived("webchat", self.address, str(frame["text"]))


class TelegramCustomer(Customer):
    """Calls the Telegram webhook as Telegram does."""

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
            **self._content(text),
        }
        body = json.dumps({"update_id": message_id, "message": message}).encode()
        headers = {
            "content-type": "application/json",
            "x-telegram-bot-api-secret-token": self.world.secrets["CHAPAR_SECRET_DEMO__TELEGRAM_SECRET"],
        }
        return lambda: self._post(f"/v1/{self.world.tenant}/telegram/main", body, headers)

    def _content(self, text: str) -> dict[str, object]:
        if self.file is None:
            return {"text": text}
        file_id = f"tg-{self.file.name}"
        self.world.held.files[file_id] = self.file
        about = {"file_id": file_id, "file_unique_id": file_id, "file_size": len(self.file.content)}
        document = {**about, "file_name": self.file.name, "mime_type": self.file.content_type}
        return {"document": document, "caption": text}


class WhatsappCustomer(Customer):
    """Calls the WhatsApp webhook: JSON with escaped Unicode, signed over its bytes."""

    def __init__(self, world: World, mood: Mood) -> None:
        super().__init__(world, mood)
        self.address = f"98912{_native_number(world.run, mood.number) % 10_000_000:07d}"

    async def _prepared(self, text: str) -> Callable[[], Awaitable[bool]]:
        message = {
            "from": self.address,
            "id": f"wamid.{uuid.uuid4().hex}",
            "timestamp": str(system_clock() // 1000 - (_LATE_S if self.mood.late else 0)),
            **self._content(text),
        }
        contact = {"profile": {"name": "رضا"}, "wa_id": self.address}
        call = whatsapp_call(self.world, {"contacts": [contact], "messages": [message]})
        return lambda: self._post(*call)

    def _content(self, text: str) -> dict[str, object]:
        if self.file is None:
            return {"type": "text", "text": {"body": text}}
        media = self.world.held.upload(self.file.content, self.file.name, self.file.content_type)
        document = {"id": media, "filename": self.file.name, "mime_type": self.file.content_type, "caption": text}
        return {"type": "document", "document": document}


def whatsapp_call(world: World, value: Mapping[str, object]) -> tuple[str, bytes, dict[str, str]]:
    """Return path, body and headers of one of Meta's calls with this content."""
    number = {"display_phone_number": "982100000000", "phone_number_id": "100200300"}
    content = {"messaging_product": "whatsapp", "metadata": number, **value}
    entry = {"id": "1", "changes": [{"field": "messages", "value": content}]}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
    secret = world.secrets["CHAPAR_SECRET_DEMO__WHATSAPP_SECRET"].encode()
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "x-hub-signature-256": f"sha256={digest}"}
    return f"/v1/{world.tenant}/whatsapp/main", body, headers


class WebhookCustomer(Customer):
    """Calls the signed webhook for other systems (Standard Webhooks)."""

    async def _prepared(self, text: str) -> Callable[[], Awaitable[bool]]:
        message_id = f"msg_{uuid.uuid4().hex}"
        person = {"id": f"{self.world.run}-{self.address}", "name": "شرکت"}
        said: dict[str, object] = {"message_id": message_id, "customer": person, "text": text}
        if self.file is not None:
            said["files"] = [{"name": self.file.name, "content": base64.b64encode(self.file.content).decode()}]
        body = json.dumps(said).encode()
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
    """A mail server that delivers by SMTP and retries on 4xx."""

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
        if self.file is not None:
            mail.add_attachment(self.file.content, maintype="application", subtype="pdf", filename=self.file.name)
        host, _, port = self.world.smtp.rpartition(":")

        def deliver() -> bool:
            with smtplib.SMTP(host, int(port), timeout=10) as server:
                return not server.send_message(mail, self.address, ["support@demo.example"])

        return lambda: asyncio.to_thread(deliver)


class GrpcCustomer(Customer):
    """Another system that submits messages by gRPC."""

    async def leave(self) -> None:
        request = self._request("", customer_left=True)
        await persist(lambda: self._submit(request))

    async def _prepared(self, text: str) -> Callable[[], Awaitable[bool]]:
        request = self._request(text)
        if self.file is not None:
            request.files.add(name=self.file.name, content=self.file.content)
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


def _native_number(run: str, number: int) -> int:
    """Return an id that no other run of the demo uses."""
    return 10_000_000 + int(hashlib.sha256(f"{run}/{number}".encode()).hexdigest()[:12], 16) % 4_000_000_000


KINDS: Mapping[str, type[Customer]] = {
    "webchat": WebchatCustomer,
    "telegram": TelegramCustomer,
    "whatsapp": WhatsappCustomer,
    "webhook": WebhookCustomer,
    "email": EmailCustomer,
    "grpc": GrpcCustomer,
}
