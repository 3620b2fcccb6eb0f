"""gRPC: durable when answered, refusals that name the field, streams that continue after a refused message."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.chassis.errors import ChaparError
from services.chassis.grpc.status import from_rpc_error
from services.chassis.ids import derive
from services.chassis.kafka.tail import tail
from services.chassis.tokens import mint
from tests.fakes.privacy import a_keyring
from tests.integration.ingest.edges.conftest import Edges, ingest, install, routed

pytestmark = pytest.mark.kafka
SCOPES = [
    "ingest.submit",
    "conversations.read",
    "ingest.follow_up",
    "outbound.send",
    "outbound.read",
    "person.write",
    "person.read",
    "person.preferences",
    "person.block",
    "person.erase",
]


@asynccontextmanager
async def channel(edges: Edges) -> AsyncIterator[tuple[grpc.aio.Channel, tuple[tuple[str, str], ...]]]:
    token = mint(edges.token_secret, "test", "demo", SCOPES)
    async with grpc.aio.insecure_channel(edges.service.endpoints["grpc"]) as opened:
        yield opened, (("authorization", f"Bearer {token}"),)


def refused(error: grpc.aio.AioRpcError) -> ChaparError:
    return from_rpc_error(error)


@asynccontextmanager
async def whole(kafka: Any, prefix: str, tmp_path: Path) -> AsyncIterator[Edges]:
    """Yield ingest with lanes and history, so that requests to lanes are decided."""
    settings = kafka.settings(prefix)
    await install(settings, routed())
    async with ingest(settings, tmp_path, role="all", history=True) as running:
        yield running


async def a_customer(edges: Edges, native_id: str) -> tuple[str, str]:
    """Return (identity, conversation) of a customer who has written."""
    async with channel(edges) as (opened, token):
        request = ingest_pb2.SubmitRequest(idempotency_key=native_id, native_id=native_id, text="hello")
        sent = await ingest_pb2_grpc.IngestServiceStub(opened).Submit(request, metadata=token, timeout=10)
    return sent.identity_id, derive("conversation", sent.message_id)


async def the_refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), refused(caught.value).reason


async def decided(edges: Edges, call: Callable[[], Any]) -> Any:
    """Return the answer once the lane has read the earlier records of another partition."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                await asyncio.sleep(0.05)


async def test_submit(edges: Edges) -> None:
    """The same idempotency key is the same message; the tenant comes from the token."""
    async with channel(edges) as (opened, token):
        stub = ingest_pb2_grpc.IngestServiceStub(opened)
        request = ingest_pb2.SubmitRequest(
            idempotency_key="k1", native_id="kiosk-4", text="کمک می‌خواهم", labels={"tier": "gold"}
        )
        one = await stub.Submit(request, metadata=token, timeout=10)
        two = await stub.Submit(request, metadata=token, timeout=10)
    assert one.message_id == two.message_id
    record, _ = await edges.inbound(2)
    assert (record.tenant, record.message.labels["tier"], record.message.language) == ("demo", "gold", "fa")


async def test_submit_names_every_wrong_field(edges: Edges) -> None:
    """All as BadRequest violations."""
    async with channel(edges) as (opened, token):
        stub = ingest_pb2_grpc.IngestServiceStub(opened)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Submit(ingest_pb2.SubmitRequest(text="x", language="??"), metadata=token, timeout=10)
        assert {v.field for v in refused(caught.value).violations} == {"idempotency_key", "language"}
        beyond = ingest_pb2.SubmitRequest(text="x\x00", native_id="n" * 201, labels={"tier": "g" * 101})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Submit(beyond, metadata=token, timeout=10)
        assert {v.field for v in refused(caught.value).violations} == {"text", "native_id", "labels[0].value"}
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Submit(
                ingest_pb2.SubmitRequest(idempotency_key="k", native_id="n", text="x", account="none"),
                metadata=token,
                timeout=10,
            )
        assert refused(caught.value).reason == "UNKNOWN_ACCOUNT"


async def test_a_refused_message_does_not_end_the_stream(edges: Edges) -> None:
    """Answers come in order, each naming its message."""
    messages = [
        ingest_pb2.SubmitStreamRequest(message=ingest_pb2.SubmitRequest(idempotency_key=key, native_id="n", text=text))
        for key, text in (("a", "first"), ("b", ""), ("c", "third"))
    ]
    async with channel(edges) as (opened, token):
        call = ingest_pb2_grpc.IngestServiceStub(opened).SubmitStream(iter(messages), metadata=token)
        answers = [answer async for answer in call]
    assert [(each.idempotency_key, each.refused_reason) for each in answers] == [
        ("a", ""),
        ("b", "INVALID_FIELD"),
        ("c", ""),
    ]
    assert len(await edges.inbound(2)) == 2


async def test_what_is_asked_of_a_lane_is_done_or_refused_at_once(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """Send, link, unlink and follow-up: OK means carried out; ids that do not belong together are refused; no request
    becomes a dead letter."""
    async with whole(kafka, prefix, tmp_path) as edges, channel(edges) as (opened, token):
        ann, talk = await a_customer(edges, "ann")
        bob, other = await a_customer(edges, "bob")
        outbound, people = ingest_pb2_grpc.OutboundServiceStub(opened), ingest_pb2_grpc.PersonServiceStub(opened)
        work = ingest_pb2_grpc.IngestServiceStub(opened)
        options: dict[str, Any] = {"metadata": token, "timeout": 20}
        notice = {"text": "hi", "purpose": records_pb2.OUTBOUND_PURPOSE_NOTICE}

        def send(key: str, **ids: str) -> Any:
            request = ingest_pb2.SendRequest(idempotency_key=key, **ids, **notice)  # type: ignore[arg-type]  # a table
            return outbound.Send(request, **options)

        answer = await decided(edges, lambda: send("s1", conversation_id=talk))
        assert answer.delivery_id == derive("demo", "s1")
        assert await send("s1", conversation_id=talk) == answer, "the same request again"
        nobody = (grpc.StatusCode.NOT_FOUND, "UNKNOWN_IDENTITY")
        elsewhere = (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CONVERSATION")
        assert await the_refusal(send("s2", identity_id="nobody")) == nobody
        assert await the_refusal(send("s3", identity_id=ann, conversation_id=other)) == elsewhere
        assert await the_refusal(send("s4", identity_id=ann, interaction_id="another's")) == elsewhere
        assert (await the_refusal(send("s5", conversation_id="c-9")))[0] is grpc.StatusCode.NOT_FOUND

        def follow_up(key: str, **fields: str) -> Any:
            values = {"identity_id": ann, "queue": "support", "reason": "r", **fields}
            return work.OpenFollowUp(ingest_pb2.OpenFollowUpRequest(idempotency_key=key, **values), **options)  # type: ignore[arg-type]  # a table

        opened_work = await follow_up("f1", conversation_id=talk)
        assert opened_work.interaction_id == derive("follow-up", "demo", "f1")
        assert await the_refusal(follow_up("f2", identity_id="nobody")) == nobody
        assert await the_refusal(follow_up("f3", conversation_id=other)) == elsewhere
        unknown_queue = (grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_QUEUE")
        assert await the_refusal(follow_up("f4", queue="nowhere")) == unknown_queue

        def link(key: str, one: str, home: str) -> Any:
            request = ingest_pb2.LinkIdentityRequest(
                idempotency_key=key, identity_id=one, home_identity_id=home, evidence="signed-login"
            )
            return people.LinkIdentity(request, **options)

        await link("l1", bob, ann)
        await link("l1", bob, ann)
        person, wanted = derive("person", ann), records_pb2.OPT_OUT_SCOPE_PROACTIVE
        preferences = ingest_pb2.SetPreferencesRequest(
            idempotency_key="p1",
            identity_id=bob,
            opt_outs=[records_pb2.OptOut(channel="telegram", scope=wanted)],
            preferred_channel="webchat",
        )
        await people.SetPreferences(preferences, **options)

        asking, found = ingest_pb2.GetPersonRequest(person_id=person), ingest_pb2.GetPersonResponse()
        async with asyncio.timeout(20):
            while not found.opt_outs:  # until history has them
                found = await decided(edges, lambda: people.GetPerson(asking, **options))
                await asyncio.sleep(0.05)
        (held,) = found.opt_outs
        assert (held.channel, held.scope, held.actor) == ("telegram", wanted, "test")
        assert held.since.ToMilliseconds() > 0
        assert found.preferred_channel == "webchat"
        assert await the_refusal(link("l2", "nobody", ann)) == nobody
        assert await the_refusal(link("l3", bob, "nobody")) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_HOME")
        assert await the_refusal(link("l4", ann, bob)) == (grpc.StatusCode.INVALID_ARGUMENT, "LINK_CIRCLE")
        unlink = ingest_pb2.UnlinkIdentityRequest
        await people.UnlinkIdentity(unlink(idempotency_key="u1", identity_id=bob), **options)
        assert (
            await the_refusal(people.UnlinkIdentity(unlink(idempotency_key="u2", identity_id="nobody"), **options))
            == nobody
        )
        assert await the_refusal(link("l5", "nobody", "nowhere")) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_HOME")
        # A caller that invents identities creates no keys and stores none of its texts.
        async with a_keyring(edges.kafka) as keys:
            assert await keys.existing("demo", ann) is not None
            assert not any(keys.knows("demo", each) for each in ("nobody", "nowhere"))
        async with aclosing(tail(edges.kafka, "deadletters.v1", caught_up=(read := asyncio.Event()).set)) as letters:
            waiting = asyncio.ensure_future(anext(letters))
            await read.wait()
            waiting.cancel()
            assert not waiting.done() or waiting.cancelled()
            await asyncio.wait([waiting])


async def test_without_lanes_requests_are_unavailable(edges: Edges) -> None:
    """No lane decides: UNAVAILABLE in time, and the request may be sent again."""
    async with channel(edges) as (opened, token):
        request = ingest_pb2.SendRequest(idempotency_key="s", identity_id="i", text="hi")
        stub = ingest_pb2_grpc.OutboundServiceStub(opened)
        got = await the_refusal(stub.Send(request, metadata=token, timeout=10))
        assert got == (grpc.StatusCode.UNAVAILABLE, "NOT_DECIDED")


async def test_wrong_follow_ups_name_their_fields_and_need_their_scope(edges: Edges) -> None:
    """All fields at once; a caller that may only submit may not open follow-ups."""
    async with channel(edges) as (opened, token):
        stub = ingest_pb2_grpc.IngestServiceStub(opened)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.OpenFollowUp(ingest_pb2.OpenFollowUpRequest(queue=" "), metadata=token, timeout=10)
        fields = {violation.field for violation in refused(caught.value).violations}
        little = mint(edges.token_secret, "test", "demo", ["ingest.submit"])
        request = ingest_pb2.OpenFollowUpRequest(idempotency_key="v1", identity_id="i-1", queue="q", reason="r")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.OpenFollowUp(request, metadata=(("authorization", f"Bearer {little}"),), timeout=10)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert {"idempotency_key", "identity_id", "queue", "reason"} <= fields


async def test_calls_without_a_token_are_refused(edges: Edges) -> None:
    """UNAUTHENTICATED without a token, PERMISSION_DENIED without the scope."""
    async with channel(edges) as (opened, _):
        stub = ingest_pb2_grpc.IngestServiceStub(opened)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Submit(ingest_pb2.SubmitRequest(), timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        little = mint(edges.token_secret, "test", "demo", ["outbound.send"])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Submit(ingest_pb2.SubmitRequest(), metadata=(("authorization", f"Bearer {little}"),), timeout=10)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
