"""Web chat over real sockets: identity, missed messages, and limits for clients that send too much."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2
from services.chassis.kafka.producer import DurableProducer
from services.chassis.keys import tenant_key
from tests.integration.ingest.edges.conftest import SECRET, Edges

pytestmark = pytest.mark.kafka
PATH = "/v1/demo/webchat/main/ws"


@asynccontextmanager
async def chat(
    edges: Edges, hello: dict[str, Any], **options: Any
) -> AsyncIterator[tuple[ClientConnection, dict[str, Any]]]:
    """Yield a socket that has said hello, and its welcome."""
    async with websockets.connect(edges.ws(PATH), **options) as socket:
        await socket.send(json.dumps({"type": "hello", **hello}))
        yield socket, await receive(socket)


async def receive(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        frame: dict[str, Any] = json.loads(await socket.recv())
        return frame


async def closed(socket: ClientConnection) -> int:
    """Return the code with which the server closes."""
    async with asyncio.timeout(10):
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await socket.recv()
    assert socket.close_code is not None
    return socket.close_code


async def say(socket: ClientConnection, text: str, **more: Any) -> dict[str, Any]:
    """Return the answer to one message."""
    await socket.send(json.dumps({"type": "message", "id": str(uuid.uuid4()), "text": text, **more}))
    return await receive(socket)


async def conversation_says(edges: Edges, identity_id: str, conversation: str, *texts: str) -> list[int]:
    """Append an agent's messages as the sender lane does; return their sequence numbers."""
    offsets = []
    async with DurableProducer(edges.kafka, client_id="lane") as producer:
        for text in texts:
            record = records_pb2.ConversationRecord(
                event_id=str(uuid.uuid4()),
                tenant="demo",
                conversation_id=conversation,
                identity_id=identity_id,
                occurred_at_ms=1,
                message=records_pb2.ConversationMessage(
                    message_id=str(uuid.uuid4()),
                    author_kind=types_pb2.ACTOR_KIND_AGENT,
                    author_id="sara",
                    text=text,
                    channel="webchat",
                ),
            )
            offsets.append(
                (
                    await producer.publish(
                        "conversations.v1", tenant_key(record.tenant, conversation), record.SerializeToString()
                    )
                )[1]
            )
    return offsets


async def test_a_returning_visitor_gets_missed_messages_once_and_in_order(edges: Edges) -> None:
    """After a reconnect with token and last sequence number: the messages after it, then live ones; none twice."""
    async with chat(edges, {}) as (socket, welcome):
        assert (await say(socket, "سلام"))["type"] == "ack"
        (record,) = await edges.inbound(1)
        identity = record.message.identity.identity_id
        first, second = await conversation_says(edges, identity, "c-1", "یک", "دو")
        assert [(await receive(socket))["seq"] for _ in range(2)] == [first, second]
    await conversation_says(edges, identity, "c-1", "سه")
    after = {"conversation": "c-1", "seq": first}
    async with chat(edges, {"token": welcome["token"], "after": after}) as (socket, again):
        assert again["type"] == "welcome"
        assert [(await receive(socket))["text"] for _ in range(2)] == ["دو", "سه"]
        await conversation_says(edges, identity, "c-1", "چهار")
        live = await receive(socket)
        assert (live["text"], live["from"]) == ("چهار", "agent")


async def test_a_visitor_can_not_read_anothers_conversation(edges: Edges) -> None:
    """Naming another visitor's conversation in `after` shows nothing of it."""
    await conversation_says(edges, "somebody-else", "c-2", "secret")
    async with chat(edges, {"after": {"conversation": "c-2", "seq": -1}}) as (socket, _):
        await socket.send(json.dumps({"type": "ping"}))
        assert await receive(socket) == {"type": "pong"}


async def test_a_forged_token_is_refused(edges: Edges) -> None:
    """It gets 4401, and no record is published."""
    async with websockets.connect(edges.ws(PATH)) as socket:
        await socket.send(json.dumps({"type": "hello", "token": "v1.somebody-else.1700000000." + "0" * 64}))
        assert await closed(socket) == 4401


async def test_a_signed_login_is_checked_at_every_message(edges: Edges) -> None:
    """A right hash makes a verified identity; a wrong one, also in a later message, ends the session."""
    good = hmac.new(SECRET["LOGIN"].encode(), b"user-7", hashlib.sha256).hexdigest()
    async with chat(edges, {"identifier": "user-7", "identifier_hash": good}) as (socket, welcome):
        assert welcome["verified"] is True
        assert (await say(socket, "hello there friends"))["type"] == "ack"
        await socket.send(
            json.dumps({"type": "message", "id": str(uuid.uuid4()), "text": "x", "identifier_hash": "0" * 64})
        )
        assert await closed(socket) == 4401
    (record,) = await edges.inbound(1)
    assert record.message.identity.native_id == "user:user-7"
    assert record.message.identity.verified
    async with websockets.connect(edges.ws(PATH)) as socket:
        await socket.send(json.dumps({"type": "hello", "identifier": "user-7", "identifier_hash": "0" * 64}))
        assert await closed(socket) == 4401


async def test_the_same_message_again_has_the_same_id(edges: Edges) -> None:
    """A client that missed its ack repeats with the same id: the intake gets one message."""
    mine = str(uuid.uuid4())
    frame = json.dumps({"type": "message", "id": mine, "text": "again"})
    async with chat(edges, {}) as (socket, _):
        await socket.send(frame)
        await socket.send(frame)
        one, two = await receive(socket), await receive(socket)
    assert one == two


_UNREADABLE = ("MALFORMED_JSON", "TOO_DEEP")


async def test_bad_frames_are_refused_and_the_session_goes_on(edges: Edges) -> None:
    """Malformed, empty, too long, NUL, deep: refused with a reason; then a good message is accepted."""
    async with chat(edges, {}) as (socket, _):
        for frame, reason in (
            ("{", "MALFORMED_JSON"),
            ('{"type":"dance"}', "INVALID_FIELD"),
            ('{"type":"message","id":"1","text":"x"}', "INVALID_FIELD"),
            (json.dumps({"type": "message", "id": str(uuid.uuid4()), "text": " "}), "INVALID_FIELD"),
            (json.dumps({"type": "message", "id": str(uuid.uuid4()), "text": "x" * 9000}), "TEXT_TOO_LONG"),
            (json.dumps({"type": "message", "id": str(uuid.uuid4()), "text": "a\x00"}), "NUL_IN_TEXT"),
            ("[" * 2000, "TOO_DEEP"),
        ):
            await socket.send(frame)
            refused = await receive(socket)
            assert refused["reason"] == reason, frame[:50]
            assert refused["id"] == (json.loads(frame).get("id", "") if reason not in _UNREADABLE else "")
        assert (await say(socket, "fine now"))["type"] == "ack"


async def test_the_end_button_says_that_the_customer_has_left(edges: Edges) -> None:
    """`end` becomes a record with customer_left and no text."""
    async with chat(edges, {}) as (socket, _):
        await socket.send(json.dumps({"type": "end", "id": str(uuid.uuid4())}))
        assert (await receive(socket))["type"] == "ack"
    (record,) = await edges.inbound(1)
    assert record.message.customer_left


async def test_origins(edges: Edges) -> None:
    """This host's own pages and listed origins may open a socket; others are closed with 4403."""
    async with websockets.connect(edges.ws(PATH), origin=websockets.Origin("https://evil.example")) as socket:
        assert await closed(socket) == 4403
    own = "http://" + edges.service.endpoints["http"]
    for origin in ("https://shop.example", own):
        async with chat(edges, {}, origin=websockets.Origin(origin)) as (_, welcome):
            assert welcome["type"] == "welcome"


async def test_a_socket_that_floods_is_slowed_then_closed(edges: Edges) -> None:
    """Beyond the burst, frames are refused with a wait; a client that continues is closed with 4429."""
    async with chat(edges, {}) as (socket, _):
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(400):
                await socket.send(json.dumps({"type": "ping"}))
        assert await closed(socket) == 4429


async def test_an_unknown_account_is_4404(edges: Edges) -> None:
    """And the first frame must be hello."""
    async with websockets.connect(edges.ws("/v1/demo/webchat/none/ws")) as socket:
        assert await closed(socket) == 4404
    async with websockets.connect(edges.ws(PATH)) as socket:
        await socket.send(json.dumps({"type": "ping"}))
        assert await closed(socket) == 4401
