"""The block list by gRPC: who may call it, what is refused, and what happens to the messages of a blocked sender."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.ids import derive
from services.chassis.tokens import mint
from tests.integration.ingest.edges.test_grpc import a_customer, channel, decided, the_refusal, whole

pytestmark = pytest.mark.kafka
DAY_S = 86_400
NOBODY = (grpc.StatusCode.NOT_FOUND, "UNKNOWN_IDENTITY")


def blocking(key: str, identity_id: str, end_s: int = 0) -> ingest_pb2.BlockSenderRequest:
    """A request to block a sender; `end_s`: seconds since the epoch, 0 for the default."""
    request = ingest_pb2.BlockSenderRequest(idempotency_key=key, identity_id=identity_id, note="threats")
    if end_s:
        request.until.FromSeconds(end_s)
    return request


async def test_a_supervisor_blocks_a_sender(kafka: Any, prefix: str, tmp_path: Path) -> None:
    """It holds when the call returns: the next message is accepted, kept, and listed as kept."""
    async with whole(kafka, prefix, tmp_path) as edges, channel(edges) as (opened, token):
        people = ingest_pb2_grpc.PersonServiceStub(opened)
        options: dict[str, Any] = {"metadata": token, "timeout": 20}
        (ann, conversation), (bob, _) = await a_customer(edges, "ann"), await a_customer(edges, "bob")
        answer = await decided(edges, lambda: people.BlockSender(blocking("b1", ann), **options))
        now_s = answer.until.ToSeconds() - 30 * DAY_S
        submit = ingest_pb2.SubmitRequest(idempotency_key="k2", native_id="ann", text="more threats")
        await ingest_pb2_grpc.IngestServiceStub(opened).Submit(submit, **options)

        found = ingest_pb2.ListBlockedResponse()
        async with asyncio.timeout(20):
            while not (found.senders and found.senders[0].kept_messages):  # until history has them
                found = await people.ListBlocked(ingest_pb2.ListBlockedRequest(), **options)
                await asyncio.sleep(0.05)
        (sender,) = found.senders
        assert (sender.identity.identity_id, sender.identity.native_id) == (ann, "ann")
        assert (sender.actor, sender.note, sender.until) == ("test", "threats", answer.until)
        assert (sender.kept_messages, sender.conversation_id) == (1, conversation)
        person = await people.GetPerson(ingest_pb2.GetPersonRequest(person_id=derive("person", ann)), **options)
        assert list(person.blocks) == [sender]

        assert await the_refusal(people.BlockSender(blocking("b2", "nobody"), **options)) == NOBODY
        unblock = ingest_pb2.UnblockSenderRequest
        gone = people.UnblockSender(unblock(idempotency_key="u1", identity_id="nobody"), **options)
        assert await the_refusal(gone) == NOBODY
        for number, end_s in enumerate((now_s - 1, now_s + 367 * DAY_S)):
            wrong = people.BlockSender(blocking(f"w{number}", bob, end_s), **options)
            assert await the_refusal(wrong) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        await people.UnblockSender(unblock(idempotency_key="u2", identity_id=ann), **options)
        async with asyncio.timeout(20):
            while found.senders:
                found = await people.ListBlocked(ingest_pb2.ListBlockedRequest(), **options)
                await asyncio.sleep(0.05)

        agent = (("authorization", f"Bearer {mint(edges.token_secret, 'test', 'demo', ['person.read'])}"),)
        refused = people.BlockSender(blocking("b3", bob), metadata=agent, timeout=20)
        assert (await the_refusal(refused))[0] is grpc.StatusCode.PERMISSION_DENIED
