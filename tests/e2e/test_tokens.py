"""Tokens with the four services of `chapar run`: every stream ends with its token, every role has only its rights, revocation takes effect."""

from __future__ import annotations  # the async stubs exist in .pyi files only

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from chapar.ingest.v1 import ingest_pb2
from chapar.router.v1 import records_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.rights import matrix, methods
from services.chassis.grpc.status import from_rpc_error
from services.chassis.tokens import SCOPES, Role, mint
from services.chassis.tokens.roles import SCOPES_OF
from services.cli.desk import Desk, DeskClosed

ROOT = Path(__file__).parents[2]
CHAPAR = (sys.executable, "-m", "services.cli")
TENANT, AGENT = "demo", "sara"
STREAMS = [method for method in methods() if method.client_streaming or method.server_streaming]
LIFE_S = 8.0
_QUIET_S = 2.0  # a stream that is served and says nothing for so long was not refused
_REFUSED_S = 20.0  # the longest a refusal takes on a busy machine
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


class Running:
    """A running copy of Chapar, its key, and raw calls by descriptor."""

    def __init__(self, home: Path, environment: dict[str, str], endpoints: dict[str, dict[str, str]]) -> None:
        self.environment = environment
        self.endpoints = endpoints
        self._key = (home / "secrets/keys/chapar.pem").read_bytes()

    def token(self, scopes: frozenset[str] = SCOPES, **options: Any) -> str:
        options.setdefault("agent_id", AGENT)
        return mint(self._key, options.pop("subject", "tester"), options.pop("tenant", TENANT), scopes, **options)

    def chapar(self, *words: str, code: int = 0, **environment: str) -> str:
        done = subprocess.run(
            [*CHAPAR, *words],
            cwd=ROOT, env={**self.environment, **environment}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + (done.stderr if code else "")

    @asynccontextmanager
    async def channels(self) -> AsyncIterator[dict[str, grpc.aio.Channel]]:
        found = {name: grpc.aio.insecure_channel(servers["grpc"]) for name, servers in self.endpoints.items()}
        try:
            yield found
        finally:
            for channel in found.values():
                await channel.close()

    async def call(self, channels: dict[str, Any], method: MethodDescriptor, request: Any | None, token: str) -> Any:
        """Make one call by descriptor. Returns the open call for a stream, the response otherwise. None: the stream sends nothing."""
        area = method.full_name.split(".")[1]
        service = {"audit": "ingest"}.get(area, area)  # served by ingest, next to the history that it reads
        kind = ("stream" if method.client_streaming else "unary", "stream" if method.server_streaming else "unary")
        make = getattr(channels[service], "_".join(kind))
        call = make(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        metadata = (("authorization", f"Bearer {token}"),)
        if kind == ("unary", "unary"):
            return await call(request, metadata=metadata, timeout=10)
        if method.client_streaming:
            opened = call(metadata=metadata)
            if request is not None:
                await opened.write(request)
            return opened
        return call(request, metadata=metadata)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run `chapar run` in its own home, ready, until the module ends."""
    home = tmp_path_factory.mktemp("home")
    values = {name: value for name, value in os.environ.items() if not name.startswith(("CHAPAR_", "KAFKA_"))}
    values["CHAPAR_HOME"] = str(home)
    if cache := os.environ.get("CHAPAR_CACHE_DIR"):
        values["CHAPAR_CACHE_DIR"] = cache
    with subprocess.Popen([*CHAPAR, "run", "--json"], cwd=ROOT, env=values, stdout=subprocess.PIPE, text=True) as it:
        try:
            assert it.stdout is not None
            yield Running(home, values, json.loads(it.stdout.readline())["endpoints"])
        finally:
            it.send_signal(signal.SIGTERM)
            it.wait(60)


async def a_conversation(running: Running, channels: dict[str, Any]) -> str:
    """Return the id of a conversation that history has."""
    found = {method.name: method for method in methods()}
    submit = ingest_pb2.SubmitRequest(idempotency_key="m-1", native_id="customer-1", text="سلام")
    await running.call(channels, found["Submit"], submit, running.token())
    async with asyncio.timeout(30):
        while True:
            answer = await running.call(
                channels, found["SearchConversations"], ingest_pb2.SearchConversationsRequest(), running.token()
            )
            if answer.conversations:
                return str(answer.conversations[0].conversation_id)
            await asyncio.sleep(0.1)


async def opened(running: Running, channels: dict[str, Any], token: str) -> dict[str, Any]:
    """Open every stream that exists with one token."""
    first: dict[str, dict[str, Any]] = {
        "WatchConversation": {"conversation_id": await a_conversation(running, channels)},
        "SubmitStream": {"message": {"idempotency_key": "m-2", "native_id": "customer-2", "text": "سلام"}},
        "Session": {"request_id": "r-1", "hello": {"agent_id": AGENT}},
    }
    return {
        method.full_name: await running.call(
            channels,
            method,
            # The first message of an upload names an interaction that the agent holds; so none is sent.
            None if method.name == "UploadFile" else GetMessageClass(method.input_type)(**first.get(method.name, {})),
            token,
        )
        for method in STREAMS
    }


async def end_of(call: Any) -> tuple[ChaparError, float]:
    """Wait for the end of a stream. Returns its error and the time."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(_read(call), 30)
    return from_rpc_error(caught.value), time.time()


async def _next(call: Any) -> Any:
    """Read from a stream; of a call that has one answer, that answer."""
    return await call.read() if hasattr(call, "read") else await call


async def _read(call: Any) -> None:
    while await _next(call) is not grpc.aio.EOF:
        pass


async def test_every_stream_ends_with_its_token(running: Running) -> None:
    """All streaming RPCs of all services, from the descriptors, are served while the token is valid, and end when it expires."""
    assert {method.name for method in STREAMS} >= {"Session", "WatchQueues", "WatchEvents", "WatchConversation"}
    async with running.channels() as channels:
        await a_conversation(running, channels)  # so that the streams open quickly
        begun = time.time()
        calls = await opened(running, channels, running.token(ttl=LIFE_S))
        ends = await asyncio.gather(*(end_of(call) for call in calls.values()))
        for name, (error, ended) in zip(calls, ends, strict=True):
            assert (error.kind, error.reason) == (ErrorKind.UNAUTHENTICATED, "TOKEN_EXPIRED"), name
            assert ended - begun > LIFE_S - 1.5, f"{name} was not served until its token ended"


@pytest.mark.parametrize("by", ["--token", "--id", "--subject", "--agent"])
async def test_a_revoked_token_ends_every_stream_and_opens_none(running: Running, by: str) -> None:
    """`chapar token revoke` works through Kafka within seconds in every service; a token issued afterwards is accepted."""
    subject = f"subject-{by.strip('-')}"
    token = running.token(ttl=600, subject=subject)
    token_id = str(jwt.decode(token, options={"verify_signature": False})["jti"])
    value = {"--token": token, "--id": token_id, "--subject": subject, "--agent": AGENT}[by]
    async with running.channels() as channels:
        calls = await opened(running, channels, token)
        await asyncio.sleep(0)
        ends = [asyncio.ensure_future(end_of(call)) for call in calls.values()]
        revoked = await asyncio.to_thread(running.chapar, "token", "revoke", by, value, "--reason", "lost")
        assert "revoked" in revoked
        said = time.time()
        for error, ended in await asyncio.gather(*ends):
            assert error.reason in {"TOKEN_REVOKED", "SESSION_REPLACED"}
            assert ended - said < 10
        for method in methods():
            if not method.client_streaming and not method.server_streaming:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await running.call(channels, method, GetMessageClass(method.input_type)(), token)
                assert from_rpc_error(caught.value).reason == "TOKEN_REVOKED", method.full_name
        if by != "--id":
            await asyncio.sleep(1.1)  # tokens of the same second are revoked too: `iat` has no fractions
            await a_conversation(running, channels)
    named = {"--token": token_id, "--id": token_id, "--subject": subject, "--agent": AGENT}[by]
    assert [key for key in _keys(running) if named in key]


def _keys(running: Running) -> list[str]:
    return [entry["key"] for entry in json.loads(running.chapar("token", "revoked", "--json"))]


async def test_every_method_is_checked_with_every_role(running: Running) -> None:
    """On real sockets: a role without the right is refused for its scopes; a role with the right passes this check."""
    wrong = []
    async with running.channels() as channels:
        for method in methods():
            for role in Role:
                token = running.token(SCOPES_OF[role], subject="roles", agent_id="omid")
                request = GetMessageClass(method.input_type)()
                has_right = role in matrix()[method.full_name]
                reason = await _reason(running, channels, method, request, token, _QUIET_S if has_right else _REFUSED_S)
                if has_right == (reason == "SCOPE_MISSING"):
                    wrong.append((method.full_name, role, reason))
    assert wrong == []


async def _reason(
    running: Running, channels: Any, method: MethodDescriptor, request: Any, token: str, patience_s: float
) -> str:
    """Return the reason of a refusal, or "" for a call that is served. A stream that says nothing for `patience_s` is served."""
    try:
        # A write to a stream that was just refused ends it with a status of the client's own (grpc.aio), so none is sent.
        call = await running.call(channels, method, None if method.client_streaming else request, token)
        if method.client_streaming or method.server_streaming:
            await _first_of(call, patience_s)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason or str(error)
    return ""


async def _first_of(call: Any, patience_s: float) -> None:
    """Read the first message of a stream; raise its refusal. A stream that is served may send nothing; then it is closed."""
    reading = asyncio.ensure_future(_next(call))
    done, _ = await asyncio.wait({reading}, timeout=patience_s)
    if done:
        if reading.result() is grpc.aio.EOF:
            await call._raise_for_status()  # a read that begins after the end returns EOF, whatever the status
    else:
        call.cancel()
        with suppress(asyncio.CancelledError):
            await reading


async def test_a_desk_continues_with_a_new_token(running: Running) -> None:
    """The session ends when its token expires; a desk that can renew the token resumes automatically, another reports why it closed."""
    address = running.endpoints["router"]["grpc"]
    short = running.token(ttl=LIFE_S, agent_id="omid", subject="omid")

    def renewed() -> str:
        """Return the short token until it expires, like the client of an identity provider."""
        if _ends(short) > time.time():
            return short
        return running.token(ttl=600, agent_id="omid", subject="omid")

    async with Desk(address, renewed, agent_id="omid") as desk:
        await desk.welcomed()
        async with asyncio.timeout(30):
            while desk.sessions < 2:  # noqa: ASYNC110 - the desk has no event for it
                await asyncio.sleep(0.1)
        assert (await desk.set_state(records_pb2.AGENT_STATE_AWAY)).ok
    last = running.token(ttl=LIFE_S, agent_id="omid", subject="omid")
    async with Desk(address, last, agent_id="omid") as desk:
        await desk.welcomed()
        with pytest.raises(DeskClosed) as closed:
            await asyncio.wait_for(desk.next("the end"), 30)
        assert closed.value.error is not None
        assert closed.value.error.reason == "TOKEN_EXPIRED"


def _ends(token: str) -> float:
    return float(jwt.decode(token, options={"verify_signature": False})["exp"])
