"""Every channel's messages can be downloaded as they arrived, if their account keeps them."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient
from websockets.asyncio.client import connect

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.ingest.domain.files.places import Folder
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.ingest.edges.conftest import SECRET, Edges, configuration, ingest, install
from tests.integration.ingest.edges.test_files import downloaded, hello, signed
from tests.integration.ingest.edges.test_grpc import channel

pytestmark = pytest.mark.kafka

UPDATE: dict[str, Any] = {
    "update_id": 7,
    "message": {
        "message_id": 1,
        "date": 1_770_000_000,
        "text": "سلام",
        "chat": {"id": 42, "type": "private"},
        "from": {"id": 42, "is_bot": False, "first_name": "Sara"},
        "what_no_parser_knows": "kept",
    },
}
ITEM = {"from": "98912", "id": "wamid.1", "timestamp": "1770000000", "type": "text", "text": {"body": "hello"}}
VALUE = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": "100200300"}, "messages": [ITEM]}
CALL = {"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": VALUE}]}]}


async def send_by_http(edges: Edges) -> dict[str, bytes]:
    """Send one call of Telegram, of WhatsApp and of a signed webhook; return their bytes."""
    update = json.dumps(UPDATE, indent=1).encode()
    call = json.dumps(CALL, indent=1).encode()
    webhook = signed({"message_id": "m1", "customer": {"id": "ali"}, "text": "hi", "more": 1})
    json_type = {"content-type": "application/json"}
    mac = hmac.new(SECRET["WHATSAPP"].encode(), call, hashlib.sha256).hexdigest()
    async with AsyncClient() as http:
        for name, arguments in (
            (
                "telegram",
                {"content": update, "headers": {**json_type, "x-telegram-bot-api-secret-token": SECRET["TELEGRAM"]}},
            ),
            ("whatsapp", {"content": call, "headers": {**json_type, "x-hub-signature-256": f"sha256={mac}"}}),
            ("webhook", webhook),
        ):
            answer = await http.post(edges.url(f"/v1/demo/{name}/main"), **arguments)
            assert answer.status_code == 200, answer.text
    return {"telegram": update, "whatsapp": call, "webhook": webhook["content"].encode()}


async def test_every_channels_input_can_be_downloaded(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """The providers' calls byte for byte; web chat and gRPC where their accounts ask for it."""
    settings, tenant = kafka.settings(prefix), configuration()
    for each in tenant.channels:
        if each.channel in ("grpc", "webchat"):
            each.settings["keep_original"] = "true"
    await install(settings, tenant)
    async with ingest(settings, tmp_path) as edges:
        sent = await send_by_http(edges)
        request = ingest_pb2.SubmitRequest(idempotency_key="k1", native_id="ali", text="hi")
        async with channel(edges) as (opened, token):
            await ingest_pb2_grpc.IngestServiceStub(opened).Submit(request, metadata=token, timeout=10)
        frame = {"type": "message", "id": str(uuid4()), "text": "hi"}
        async with connect(edges.ws("/v1/demo/webchat/main/ws")) as socket:
            await hello(socket)
            await socket.send(json.dumps(frame))
            assert json.loads(await socket.recv())["type"] == "ack"
        records = {each.message.identity.channel: each.message for each in await edges.inbound(5)}
        for name, raw in sent.items():
            assert await downloaded(edges, tmp_path, records[name].original, Folder.ORIGINALS) == raw
            assert records[name].original.content_type == "application/json"
        kept = await downloaded(edges, tmp_path, records["grpc"].original, Folder.ORIGINALS)
        assert ingest_pb2.SubmitRequest.FromString(kept) == request
        kept = await downloaded(edges, tmp_path, records["webchat"].original, Folder.ORIGINALS)
        assert frame.items() <= json.loads(kept).items()


async def test_an_account_can_keep_none(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """Then nothing is written for a message without files."""
    settings, tenant = kafka.settings(prefix), configuration()
    for each in tenant.channels:
        each.settings["keep_original"] = "false"
    await install(settings, tenant)
    async with ingest(settings, tmp_path) as edges:
        await send_by_http(edges)
        assert not any(each.message.HasField("original") for each in await edges.inbound(3))
    assert [each for each in (tmp_path / "files").rglob("*") if each.is_file()] == []
