"""The shortest paths: a signed webhook and a web chat message are in the log when they are acknowledged."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid

import httpx
import pytest
import websockets

from tests.integration.ingest.edges.conftest import SECRET, Edges

pytestmark = pytest.mark.kafka


def signed(
    body: bytes, secret: str = SECRET["WEBHOOK"], message_id: str = "msg_1", at: float | None = None
) -> dict[str, str]:
    """Return the headers of Standard Webhooks, computed by hand."""
    stamp = str(int(time.time() if at is None else at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        "content-type": "application/json",
    }


async def test_a_signed_webhook_is_durable_when_it_is_answered(edges: Edges) -> None:
    """200 means: the message is in the log, under its identity's key, with language and ids."""
    body = json.dumps(
        {"message_id": "m-1", "customer": {"id": "c-1", "name": "سارا"}, "text": "سلام، سفارش من نرسیده است"}
    ).encode()
    async with httpx.AsyncClient() as client:
        answer = await client.post(edges.url("/v1/demo/webhook/main"), content=body, headers=signed(body))
    assert answer.status_code == 200, answer.text
    (record,) = await edges.inbound(1)
    assert record.tenant == "demo"
    assert record.message.text == "سلام، سفارش من نرسیده است"
    assert record.message.language == "fa"
    assert answer.json()["accepted"] == [record.message.message_id]


async def test_a_web_chat_message_is_acknowledged_when_durable(edges: Edges) -> None:
    """hello → welcome with a token; message → ack naming the client's id."""
    async with websockets.connect(edges.ws("/v1/demo/webchat/main/ws")) as socket:
        await socket.send(json.dumps({"type": "hello", "name": "مریم", "language": "fa"}))
        welcome = json.loads(await socket.recv())
        assert welcome["type"] == "welcome"
        assert welcome["token"].startswith("v1.")
        mine = str(uuid.uuid4())
        await socket.send(json.dumps({"type": "message", "id": mine, "text": "کسی هست؟"}))
        async with asyncio.timeout(10):
            ack = json.loads(await socket.recv())
    assert ack == {"type": "ack", "id": mine, "message_id": ack["message_id"]}
    (record,) = await edges.inbound(1)
    assert record.message.message_id == ack["message_id"]
    assert record.message.identity.native_id.startswith("visitor:")
