"""Writes to a running installation as customers, agents and other systems do, with a unique word for each surface."""

import asyncio
import base64
import hashlib
import hmac
import json
import smtplib
import uuid
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import grpc
import httpx
from websockets.asyncio.client import connect

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.clock import system_clock
from services.chassis.ids import derive
from services.cli.commands.send import signed
from services.cli.local.kept_secrets import WEBHOOK_SECRET
from services.cli.local.stack import Stack
from services.cli.local.workspace import Workspace

TRACE = b"0af7651916cd43dd8448eb211c80319c"
"""The trace of the message that comes by gRPC."""


@dataclass
class Needles:
    """One word for each surface that occurs nowhere else."""

    run: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    words: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, surface: str) -> str:
        return self.words.setdefault(surface, f"{surface}n{self.run}")


@dataclass
class Planter:
    """Writes as customers, agents and other systems do."""

    workspace: Workspace
    stack: Stack
    needles: Needles
    ingest: grpc.aio.Channel
    feedback: grpc.aio.Channel

    @property
    def http(self) -> str:
        return f"http://{self.stack.running.endpoints['ingest']['http']}/v1/demo"

    async def webhook(self, text: str, customer: str, name: str, **more: Any) -> str:
        """Send a message by signed webhook. Return the identity."""
        secret = self.workspace.demo_secrets()[WEBHOOK_SECRET]
        headers, body = signed(secret, text, customer, name)
        if more:
            headers, body = _signed_again(secret, {**json.loads(body), **more}, headers)
        await self._post("/webhook/main", headers, body)
        return derive("demo", "webhook", "main", customer)

    async def telegram(self, text: str, number: int, name: str, **more: Any) -> str:
        """Send a text, or with `more` another kind of message. Return the identity."""
        message = {
            "message_id": int(uuid.uuid4().int % 2**30),
            "date": system_clock() // 1000,
            "chat": {"id": number, "type": "private"},
            "from": {"id": number, "is_bot": False, "first_name": name, "language_code": "en"},
            **(more or {"text": text}),
        }
        secret = self.workspace.demo_secrets()["CHAPAR_SECRET_DEMO__TELEGRAM_SECRET"]
        body = json.dumps({"update_id": message["message_id"], "message": message}).encode()
        await self._post("/telegram/main", {"x-telegram-bot-api-secret-token": secret}, body)
        return derive("demo", "telegram", "main", str(number))

    async def whatsapp(self, text: str, number: str, name: str, native: str, **more: Any) -> str:
        """Send a text, or with `more` another type of message. Return the identity."""
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "982100000000", "phone_number_id": "100200300"},
            "contacts": [{"profile": {"name": name}, "wa_id": number}],
            "messages": [
                {
                    "from": number,
                    "id": native,
                    "timestamp": str(system_clock() // 1000),
                    **(more or {"type": "text", "text": {"body": text}}),
                }
            ],
        }
        entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
        secret = self.workspace.demo_secrets()["CHAPAR_SECRET_DEMO__WHATSAPP_SECRET"].encode()
        digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
        await self._post("/whatsapp/main", {"x-hub-signature-256": f"sha256={digest}"}, body)
        return derive("demo", "whatsapp", "main", number)

    async def email(self, text: str, address: str, name: str, subject: str, file: str, native: str) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = f"{name} <{address}>", "support@demo.example", subject
        mail["Message-ID"] = f"<{native}@mail.example>"
        mail.set_content(text)
        mail.add_attachment(b"bytes", maintype="image", subtype="png", filename=file)
        host, _, port = self.stack.running.endpoints["ingest"]["smtp"].rpartition(":")

        def deliver() -> None:
            with smtplib.SMTP(host, int(port), timeout=20) as server:
                server.send_message(mail, address, ["support@demo.example"])

        await asyncio.to_thread(deliver)

    async def webchat(self, text: str, name: str) -> None:
        async with connect(f"{self.http.replace('http', 'ws', 1)}/webchat/main/ws") as socket:
            await socket.send(json.dumps({"type": "hello", "name": name}))
            await socket.send(json.dumps({"type": "message", "id": str(uuid.uuid4()), "text": text}))
            async with asyncio.timeout(20):
                async for frame in socket:
                    if json.loads(frame)["type"] == "ack":
                        return

    async def submit(self, text: str, native: str, name: str, labels: dict[str, str]) -> str:
        stub = ingest_pb2_grpc.IngestServiceStub(self.ingest)
        answer = await stub.Submit(
            ingest_pb2.SubmitRequest(
                idempotency_key=uuid.uuid4().hex, native_id=native, display_name=name, text=text, labels=labels
            ),
            metadata=(("traceparent", f"00-{TRACE.decode()}-b7ad6b7169203331-01"),),
        )
        return str(answer.identity_id)

    async def _post(self, path: str, headers: dict[str, str], body: bytes) -> None:
        async with httpx.AsyncClient(timeout=20) as http:
            headers = {"content-type": "application/json", **headers}
            answer = await http.post(self.http + path, headers=headers, content=body)
        assert answer.status_code == 200, answer.text


def _signed_again(secret: str, content: dict[str, Any], headers: dict[str, str]) -> tuple[dict[str, str], bytes]:
    body = json.dumps(content).encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    stamp = headers["webhook-timestamp"].encode()
    made = hmac.new(key, b".".join((headers["webhook-id"].encode(), stamp, body)), hashlib.sha256).digest()
    return {**headers, "webhook-signature": "v1," + base64.b64encode(made).decode()}, body
