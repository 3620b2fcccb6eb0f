"""gRPC: durable when answered, refusals that name the field, streams that outlive a refused message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.chassis.errors import ChaparError
from services.chassis.grpc.status import from_rpc_error
from services.chassis.ids import derive
from services.chassis.tokens import mint
from tests.integration.ingest.edges.conftest import Edges
from tests.integration.ingest.edges.test_webchat import conversation_says

pytestmark = pytest.mark.kafka
SCOPES = [
    "ingest.submit",
    "conversations.read",
    "ingest.follow_up",
    "outbound.send",
    "outbound.read",
    "person.write",
    "person.read",
    "person.erase",
]


@asynccontextmanager
async def channel(edges: Edges) -> AsyncIterator[tuple[grpc.aio.Channel, tuple[tuple[str, str], ...]]]:
    token = mint(edges.token_secret, "test", "demo", SCOPES)
    async with grpc.aio.insecure_channel(edges.service.endpoints["grpc"]) as opened:
        yield opened, (("authorization", f"Bearer {token}"),)


def refused(error: grpc.aio.AioRpcError) -> ChaparError:
    return from_rpc_error(error)


async def eventually(
    stub: Any, request: ingest_pb2.SendRequest, token: tuple[tuple[str, str], ...]
) -> ingest_pb2.SendResponse:
    """The answer once the replica has read the conversation."""
    async with asyncio.timeout(10):
        while True:
            try:
                answer = await stub.Send(request, metadata=token, timeout=10)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.NOT_FOUND  # noqa: PT017 - the loop goes on
                await asyncio.sleep(0.05)
            else:
                return answer  # type: ignore[no-any-return]  # the stub is Any: its overloads do not fit a parameter


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
    """BadRequest violations."""
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
        assert refused(caught.value).reason == "ACCOUNT_UNKNOWN"


async def test_a_refused_message_does_not_end_the_stream(edges: Edges) -> None:
    """Answers in order, each naming its message."""
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


async def test_send_by_conversation_finds_its_identity(edges: Edges) -> None:
    """A conversation that was seen is enough; an unknown one is NOT_FOUND."""
    async with channel(edges) as (opened, token):
        stub = ingest_pb2_grpc.OutboundServiceStub(opened)
        request = ingest_pb2.SendRequest(
            idempotency_key="s1", conversation_id="c-9", text="hi", purpose=records_pb2.OUTBOUND_PURPOSE_NOTICE
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Send(request, metadata=token, timeout=10)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        await conversation_says(edges, "identity-9", "c-9", "hello")
        answer = await eventually(stub, request, token)
    assert answer.delivery_id == derive("demo", "s1")
    (record,) = await edges.inbound(1)
    assert record.outbound.identity_id == "identity-9"
    assert record.outbound.author_id == "test"


async def test_links_and_unlinks_are_records_under_the_identity(edges: Edges) -> None:
    """Durable when answered."""
    async with channel(edges) as (opened, token):
        stub = ingest_pb2_grpc.PersonServiceStub(opened)
        await stub.LinkIdentity(
            ingest_pb2.LinkIdentityRequest(
                idempotency_key="l1", identity_id="i-1", home_identity_id="i-0", evidence="signed-login"
            ),
            metadata=token,
            timeout=10,
        )
        await stub.UnlinkIdentity(
            ingest_pb2.UnlinkIdentityRequest(idempotency_key="l2", identity_id="i-1"), metadata=token, timeout=10
        )
    linked, unlinked = await edges.inbound(2)
    assert (linked.link.home_identity_id, linked.link.actor) == ("i-0", "test")
    assert unlinked.link.home_identity_id == ""


async def test_a_follow_up_is_a_record_under_the_identity_and_its_interaction_is_known(edges: Edges) -> None:
    """The same key is the same interaction; each wrong field is named; whoever may only submit may not open work."""
    async with channel(edges) as (opened, token):
        stub = ingest_pb2_grpc.IngestServiceStub(opened)
        request = ingest_pb2.OpenFollowUpRequest(
            idempotency_key="v1", identity_id="i-1", queue="call-back", priority=7, reason="recovery:bad"
        )
        answers = [await stub.OpenFollowUp(request, metadata=token, timeout=10) for _ in range(2)]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.OpenFollowUp(ingest_pb2.OpenFollowUpRequest(queue=" "), metadata=token, timeout=10)
        fields = {violation.field for violation in refused(caught.value).violations}
        little = mint(edges.token_secret, "test", "demo", ["ingest.submit"])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.OpenFollowUp(request, metadata=(("authorization", f"Bearer {little}"),), timeout=10)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert {answer.interaction_id for answer in answers} == {derive("follow-up", "demo", "v1")}
    assert {"idempotency_key", "identity_id", "queue", "reason"} <= fields
    record, _ = await edges.inbound(2)
    asked = record.follow_up
    assert (record.tenant, asked.request_id, asked.queue, asked.priority) == ("demo", "v1", "call-back", 7)


async def test_without_a_token_nothing(edges: Edges) -> None:
    """UNAUTHENTICATED without, PERMISSION_DENIED with too little."""
    async with channel(edges) as (opened, _):
        stub = ingest_pb2_grpc.IngestServiceStub(opened)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Submit(ingest_pb2.SubmitRequest(), timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        little = mint(edges.token_secret, "test", "demo", ["outbound.send"])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Submit(ingest_pb2.SubmitRequest(), metadata=(("authorization", f"Bearer {little}"),), timeout=10)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
