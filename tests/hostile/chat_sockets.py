"""Web chat sockets from one address: new visitors who each send a message, and sockets that never send a hello frame."""

import asyncio
import json
import uuid
from typing import Any

import websockets
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from tests.hostile.measurement import Measurement, host_port

_TURNED_AWAY = (ConnectionClosed, InvalidMessage, InvalidStatus, OSError)


async def strangers(
    address: str, path: str, count: int, *, source: str = "", hold_s: float = 2.0, hello: bool = True
) -> Measurement:
    """Connect `count` new visitors, each with a conversation of their own.

    `answers`: "ack" for each message that was accepted, else the code of the close. `still_open`: sockets that were never
    closed.
    """
    measured = Measurement("chat_sockets", connections=count)

    async def one() -> None:
        try:
            socket = await websockets.connect(f"ws://{address}{path}", **_from(source))
        except _TURNED_AWAY:
            measured.answers["refused"] += 1
            return
        try:
            async with asyncio.timeout(hold_s):
                if hello:
                    await socket.send(json.dumps({"type": "hello"}))
                    await socket.send(json.dumps({"type": "message", "id": str(uuid.uuid4()), "text": "hello?"}))
                async for frame in socket:
                    if json.loads(frame)["type"] == "ack":
                        measured.answers["ack"] += 1
        except TimeoutError:
            measured.still_open += 1
        except ConnectionClosed:
            pass  # counted below
        if socket.close_code is not None:
            measured.answers[str(socket.close_code)] += 1
        await socket.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
    return measured


async def newcomer(address: str, path: str, *, source: str = "") -> str:
    """Return the token that a new visitor gets."""
    async with websockets.connect(f"ws://{address}{path}", **_from(source)) as socket:
        await socket.send(json.dumps({"type": "hello"}))
        token: str = json.loads(await socket.recv())["token"]
        return token


async def comes_back(address: str, path: str, token: str, *, source: str = "") -> str:
    """Send a message as a visitor with a token. Return why it was refused; empty when it was accepted."""
    last = ""
    try:
        async with websockets.connect(f"ws://{address}{path}", **_from(source)) as socket:
            await socket.send(json.dumps({"type": "hello", "token": token}))
            await socket.send(json.dumps({"type": "message", "id": str(uuid.uuid4()), "text": "me again"}))
            async for frame in socket:
                if json.loads(frame)["type"] == "ack":
                    return ""
                last = str(frame)[:200]
    except _TURNED_AWAY as error:
        return str(error)[:200] or type(error).__name__
    return f"closed after {last}"


def _from(source: str) -> dict[str, Any]:
    if not source:
        return {}
    assert host_port(f"{source}:0")[0] == source
    return {"local_addr": (source, 0)}
