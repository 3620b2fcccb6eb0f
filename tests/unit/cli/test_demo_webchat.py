"""The demo's customer in the web chat does as the page does: they write when they know that they will be known again."""

import asyncio
import itertools
import json

import grpc
import httpx
from websockets.asyncio.server import ServerConnection, serve

from services.cli.demo.channels import WebchatCustomer
from services.cli.demo.customers import Mailbox, Mood, World
from services.cli.demo.ledger import Sent

_NOTHING_S = 0.2


async def test_a_new_visitor_writes_after_the_welcome_only() -> None:
    """The first socket breaks before the welcome. A message in it would belong to a visitor whom the customer cannot be again."""
    early: list[str] = []
    written: list[tuple[str, str]] = []

    async def answer(socket: ServerConnection) -> None:
        token = json.loads(await socket.recv())["token"]
        if not early:
            try:
                async with asyncio.timeout(_NOTHING_S):
                    early.append(str(await socket.recv()))
            except TimeoutError:
                early.append("")
            return  # the socket closes
        await socket.send(json.dumps({"type": "welcome", "token": "visitor-2"}))
        async for frame in socket:
            message = json.loads(frame)
            written.append((token, message["type"]))
            await socket.send(json.dumps({"type": "ack", "id": message["id"]}))

    async with (
        serve(answer, "127.0.0.1", 0) as server,
        httpx.AsyncClient() as client,
        grpc.aio.insecure_channel("127.0.0.1:9") as channel,
    ):
        port = server.sockets[0].getsockname()[1]
        async with WebchatCustomer(_world(f"127.0.0.1:{port}", client, channel), _mood()) as customer:
            assert await customer.say("Hello")
    assert early == [""]
    assert written == [("", "message")]


def _mood() -> Mood:
    return Mood("webchat", 1, "", 0, False, False, False, None)


def _world(http: str, client: httpx.AsyncClient, channel: grpc.aio.Channel) -> World:
    sent = Sent()
    numbers = itertools.count(1)
    return World(
        tenant="demo", http=http, smtp="", grpc=channel, secrets={}, client=client, mailbox=Mailbox(sent), sent=sent,
        run="r", marks=lambda: next(numbers), said_all=lambda: None, curtain=asyncio.Event(),
    )  # fmt: skip
