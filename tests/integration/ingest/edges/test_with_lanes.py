"""Edges, lanes and history together: customers' messages can be read, and a client that returns after a restart gets
them from history.
"""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import websockets

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.tokens import mint
from tests.integration.ingest.edges.conftest import Edges, ingest, install, routed
from tests.integration.ingest.edges.test_grpc import SCOPES
from tests.integration.ingest.edges.test_webchat import PATH, chat, conversation_says, receive, say

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def conversation(edges: Edges, conversation_id: str, messages: int) -> ingest_pb2.GetConversationResponse:
    """Return the conversation, once history has this number of its messages."""
    token = mint(edges.token_secret, "test", "demo", SCOPES)
    async with grpc.aio.insecure_channel(edges.service.endpoints["grpc"]) as channel, asyncio.timeout(30):
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        while True:
            try:
                found = await stub.GetConversation(
                    ingest_pb2.GetConversationRequest(conversation_id=conversation_id),
                    metadata=(("authorization", f"Bearer {token}"),),
                    timeout=10,
                )
            except grpc.aio.AioRpcError as error:
                assert error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE)  # noqa: PT017 - the loop goes on
            else:
                if len(found.messages) >= messages:
                    return found
            await asyncio.sleep(0.1)


async def test_a_restarted_replica_shows_what_was_missed(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """Sequence numbers continue; the live reader of the new process starts now, so earlier messages come from history."""
    settings = kafka.settings(prefix)
    await install(settings, routed())
    options: dict[str, Any] = {"role": "all", "history": True, "webchat_replay_s": 0}
    async with ingest(settings, tmp_path, **options) as edges:
        async with chat(edges, {}) as (socket, welcome):
            assert (await say(socket, "سلام، کمک می‌خواهم"))["type"] == "ack"
            echo = await receive(socket)
            assert (echo["from"], echo["text"]) == ("customer", "سلام، کمک می‌خواهم")
        found = await conversation(edges, echo["conversation"], 1)
        identity = found.conversation.identity.identity_id
        await conversation_says(edges, identity, echo["conversation"], "جواب شما")
        await conversation(edges, echo["conversation"], 2)
    async with ingest(settings, tmp_path, **options) as edges, websockets.connect(edges.ws(PATH)) as socket:
        after = {"conversation": echo["conversation"], "seq": echo["seq"]}
        await socket.send(json.dumps({"type": "hello", "token": welcome["token"], "after": after}))
        assert (await receive(socket))["type"] == "welcome"
        missed = await receive(socket)
        assert (missed["from"], missed["text"]) == ("agent", "جواب شما")
        again = {"type": "message", "id": str(uuid.uuid4()), "text": "ممنون"}
        await socket.send(json.dumps(again))
        assert {(await receive(socket))["type"] for _ in range(2)} == {"ack", "message"}


async def test_the_page_is_served_and_closed_to_others(edges: Edges) -> None:
    """One file, right to left, with a policy that lets it connect to its own host only."""
    async with httpx.AsyncClient() as client:
        page = await client.get(edges.url("/chat?tenant=demo&account=main"))
    assert page.status_code == 200
    assert 'lang="fa" dir="rtl"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
