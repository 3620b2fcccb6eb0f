"""The desk shows the state of its connection, and offers with who and what: against real gRPC servers that the test stops and starts."""

import asyncio
import io
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from rich.console import Console

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.ingest.v1 import records_pb2 as ingest_records
from chapar.router.v1 import records_pb2, router_pb2, router_pb2_grpc
from services.cli import terminal_desk
from services.cli.desk import Connection, Desk

pytestmark = pytest.mark.timeout(30)


class Router(router_pb2_grpc.AgentServiceServicer):
    """Welcomes every session, offers what it has, and accepts every request. `leaving`: asks desks to reconnect."""

    def __init__(self) -> None:
        self.offer: records_pb2.OfferView | None = None
        self.leaving = False
        self.sessions = 0

    async def Session(  # noqa: N802 - the contract's name
        self, requests: AsyncIterator[router_pb2.SessionRequest], _context: Any
    ) -> AsyncIterator[router_pb2.SessionResponse]:
        """Serve one session."""
        self.sessions += 1
        async for request in requests:
            kind = request.WhichOneof("request")
            if kind == "hello":
                welcome = router_pb2.Welcome(heartbeat_ms=100)
                if self.offer is not None:
                    welcome.snapshot.offers.append(self.offer)
                yield router_pb2.SessionResponse(welcome=welcome)
            elif kind != "heartbeat":
                result = router_pb2.RequestResult(request_id=request.request_id, ok=True)
                yield router_pb2.SessionResponse(result=result)
                if self.leaving:
                    self.leaving = False
                    yield router_pb2.SessionResponse(reconnect=router_pb2.Reconnect())


@asynccontextmanager
async def serving(port: int, router: Router) -> AsyncIterator[None]:
    """Run the router at this port for the time of the block; its end breaks every session."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    router_pb2_grpc.add_AgentServiceServicer_to_server(router, server)
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


def a_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def is_connected(desk: Desk) -> bool:
    """Return the state of the connection, which changes between two calls."""
    return desk.connected


class Seen:
    """The changes of a connection, in order."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[Connection] = asyncio.Queue()

    def __call__(self, connection: Connection) -> None:
        self.changes.put_nowait(connection)


async def test_a_lost_connection_is_reported_once_and_so_is_its_return() -> None:
    """The reason is in the report. While the router is away, the desk is not connected."""
    port, router, seen = a_port(), Router(), Seen()
    async with AsyncExitStack() as stack:
        async with serving(port, router):
            desk = await stack.enter_async_context(Desk(f"127.0.0.1:{port}", "t", "sara", changed=seen))
            await desk.welcomed()
            assert is_connected(desk)
        lost = await seen.changes.get()
        assert (lost.up, lost.target) == (False, f"127.0.0.1:{port}")
        assert lost.reason
        assert not is_connected(desk)
        async with serving(port, router):
            assert await seen.changes.get() == Connection(True, f"127.0.0.1:{port}")
            assert is_connected(desk)
            assert seen.changes.empty()
            await stack.aclose()


async def test_a_router_that_is_not_there_at_first_is_reported_once() -> None:
    """Otherwise `chapar agents desk` would print nothing for ever, or a line for each attempt."""
    attempts, seen = asyncio.Semaphore(0), Seen()

    def token() -> str:
        attempts.release()
        return "t"

    async with Desk(f"127.0.0.1:{a_port()}", token, "sara", changed=seen):
        assert not (await seen.changes.get()).up
        for _ in range(4):
            await attempts.acquire()
        assert seen.changes.empty()


async def test_a_replica_that_leaves_in_order_is_not_a_loss() -> None:
    """A rolling upgrade moves desks without a word."""
    port, router, seen = a_port(), Router(), Seen()
    async with serving(port, router), Desk(f"127.0.0.1:{port}", "t", "sara", changed=seen) as desk:
        await desk.next("welcome")
        router.leaving = True
        await desk.grant_credits(1)
        await desk.next("welcome")
        assert (router.sessions, desk.sessions) == (2, 2)
        assert seen.changes.empty()


class History(ingest_pb2_grpc.IngestServiceServicer):
    """Has one conversation."""

    async def GetConversation(  # noqa: N802 - the contract's name
        self, _request: ingest_pb2.GetConversationRequest, _context: Any
    ) -> ingest_pb2.GetConversationResponse:
        """Return it."""
        answer = ingest_pb2.GetConversationResponse()
        answer.conversation.identity.display_name = "Maryam"
        message = ingest_records.ConversationMessage(
            author_kind=types_pb2.ACTOR_KIND_CUSTOMER, interaction_id="i1", text="My card is lost"
        )
        answer.messages.add(message=message)
        return answer


async def test_an_offer_shows_channel_queue_name_and_first_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent decides with them."""
    shown = _Shown("Maryam: My card is lost")
    monkeypatch.setattr(terminal_desk, "console", Console(file=shown, width=160))
    port, router = a_port(), Router()
    router.offer = records_pb2.OfferView(
        offer_id="o1",
        reason="LONGEST_IDLE",
        interaction=records_pb2.InteractionAttributes(
            interaction_id="i1", conversation_id="c1", channel="telegram", queue="cards"
        ),
    )
    ingest = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(History(), ingest)  # type: ignore[abstract]  # an offer asks for the conversation only
    ingest_port = ingest.add_insecure_port("127.0.0.1:0")
    await ingest.start()
    async with (
        serving(port, router),
        grpc.aio.insecure_channel(f"127.0.0.1:{ingest_port}") as channel,
        Desk(f"127.0.0.1:{port}", "t", "sara") as desk,
    ):
        typing, keys = os.pipe()
        with os.fdopen(typing) as source, os.fdopen(keys, "wb", buffering=0) as keyboard:
            monkeypatch.setattr(sys, "stdin", source)
            stubs = ingest_pb2_grpc.IngestServiceStub(channel), ingest_pb2_grpc.OutboundServiceStub(channel)
            terminal = terminal_desk.TerminalDesk(desk, *stubs, "")
            running = asyncio.create_task(terminal.run("sara"))
            await shown.complete.wait()
            keyboard.write(b"q\n")
            await running
    await ingest.stop(0)
    assert "[1] offer: telegram, queue cards, because LONGEST_IDLE" in shown.getvalue()
    assert "[1] Maryam: My card is lost" in shown.getvalue()


class _Shown(io.StringIO):
    """What was printed. `complete` is set when it has these words."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.complete = asyncio.Event()

    def write(self, text: str) -> int:
        """Keep the text."""
        count = super().write(text)
        if self._words in self.getvalue():
            self.complete.set()
        return count
