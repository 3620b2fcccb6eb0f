"""Thumbnails of what customers send: made at the first question for their link, and gone with the person."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from httpx import AsyncClient

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.chassis.ids import derive
from services.chassis.tokens import mint
from tests.contract.files.test_clamd import EICAR, Daemon, running
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.ingest.edges.conftest import Edges, ingest, install, routed
from tests.integration.ingest.edges.test_grpc import channel, decided, the_refusal
from tests.unit.ingest.files import images

pytestmark = pytest.mark.kafka

PHOTO = images.turned(6)
LARGE = images.encoded(images.two_halves(4_000, 4_000))
"""Few bytes, and long work."""


@asynccontextmanager
async def with_scanner(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> AsyncIterator[Edges]:
    """Ingest with lanes, history and a scanner."""
    settings = kafka.settings(prefix)
    await install(settings, routed())
    async with (
        running(Daemon(64 << 20)) as clamd,
        ingest(settings, tmp_path, role="all", history=True, files_clamd=clamd) as edges,
    ):
        yield edges


async def sent(edges: Edges, *files: bytes) -> records_pb2.CustomerMessage:
    """The message of a customer who has sent these files."""
    async with channel(edges) as (opened, token):
        request = ingest_pb2.SubmitRequest(idempotency_key="k1", native_id="ali", text="hello")
        for number, content in enumerate(files):
            request.files.add(name=f"{number}.png", content=content)
        await ingest_pb2_grpc.IngestServiceStub(opened).Submit(request, metadata=token, timeout=30)
    (record, *_) = await edges.inbound(1)
    return record.message


def wanted(message: records_pb2.CustomerMessage, file_id: str) -> ingest_pb2.GetFileLinkRequest:
    """The request for the link of this file."""
    conversation_id = derive("conversation", message.message_id)
    return ingest_pb2.GetFileLinkRequest(
        conversation_id=conversation_id, message_id=message.message_id, file_id=file_id
    )


def stored(tmp_path: Path) -> list[str]:
    """The folders of all stored files."""
    root = tmp_path / "files"
    return sorted(each.relative_to(root).parts[0] for each in root.rglob("*") if each.is_file())


async def test_an_agent_sees_a_small_image(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """By the same rights as the image. Files that are refused, damaged or no images have none."""
    async with with_scanner(kafka, prefix, tmp_path) as edges, AsyncClient() as http:
        message = await sent(edges, PHOTO, PHOTO + EICAR, PHOTO[:-900], b"%PDF-1.7")
        photo, infected, damaged, text = message.attachments
        assert [each.state for each in message.attachments] == [
            records_pb2.ATTACHMENT_STATE_STORED,
            records_pb2.ATTACHMENT_STATE_REFUSED,
            records_pb2.ATTACHMENT_STATE_STORED,
            records_pb2.ATTACHMENT_STATE_STORED,
        ]
        assert (bool(photo.thumbnail_id), infected.thumbnail_id, text.thumbnail_id) == (True, "", "")
        async with channel(edges) as (opened, token):
            stub = ingest_pb2_grpc.IngestServiceStub(opened)
            request = wanted(message, photo.thumbnail_id)
            link = await decided(edges, lambda: stub.GetFileLink(request, metadata=token, timeout=30))
            assert stored(tmp_path) == ["files", "files", "files", "quarantine", "thumbnails"]
            assert link.attachment.file_id == photo.file_id
            response = await http.get(link.url)
            assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")
            assert response.headers["content-disposition"].startswith("inline;")
            assert response.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in response.headers["content-security-policy"]
            assert images.read(response.content).size == (160, 320)
            assert b"SECRET" not in response.content
            image = await stub.GetFileLink(wanted(message, photo.file_id), metadata=token, timeout=30)
            assert (await http.get(image.url)).headers["content-disposition"].startswith("attachment;")

            for file_id, reason in (
                (damaged.thumbnail_id, (grpc.StatusCode.FAILED_PRECONDITION, "NO_THUMBNAIL")),
                (derive(infected.file_id, "thumbnail"), (grpc.StatusCode.NOT_FOUND, "UNKNOWN_FILE")),
                (derive(text.file_id, "thumbnail"), (grpc.StatusCode.NOT_FOUND, "UNKNOWN_FILE")),
            ):
                call = stub.GetFileLink(wanted(message, file_id), metadata=token, timeout=30)
                assert await the_refusal(call) == reason
            for tenant, scope, status in (
                ("other", "conversations.read", grpc.StatusCode.NOT_FOUND),
                ("demo", "outbound.read", grpc.StatusCode.PERMISSION_DENIED),
            ):
                foreign = (("authorization", f"Bearer {mint(edges.token_secret, 'test', tenant, [scope])}"),)
                refusal = await the_refusal(stub.GetFileLink(request, metadata=foreign, timeout=30))
                assert refusal[0] is status

            assert (await erased(opened, token, message)).stores
            assert (await http.get(link.url)).status_code == 404
    assert stored(tmp_path) == []


async def test_thumbnails_that_are_made_during_an_erasure_go_too(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """Agents ask for all images of a person at the moment at which they are erased: nothing of them remains."""
    async with with_scanner(kafka, prefix, tmp_path) as edges:
        message = await sent(edges, *(LARGE + bytes([number]) for number in range(5)))
        async with channel(edges) as (opened, token):
            stub = ingest_pb2_grpc.IngestServiceStub(opened)
            image = wanted(message, message.attachments[0].file_id)
            await decided(edges, lambda: stub.GetFileLink(image, metadata=token, timeout=30))
            asking = [
                asyncio.ensure_future(stub.GetFileLink(wanted(message, each.thumbnail_id), metadata=token, timeout=60))
                for each in message.attachments
            ]
            _, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            assert waiting
            report = await erased(opened, token, message)
            assert not any(each.waiting_for for each in report.stores if each.store == "files")
            results = await asyncio.gather(*asking, return_exceptions=True)
    refusals = [each.code() for each in results if isinstance(each, grpc.aio.AioRpcError)]
    assert set(refusals) <= {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}
    assert len(refusals) < len(results)
    assert stored(tmp_path) == []


async def erased(
    opened: grpc.aio.Channel, token: tuple[tuple[str, str], ...], message: records_pb2.CustomerMessage
) -> ingest_pb2.ErasePersonResponse:
    """The report of the person's erasure."""
    request = ingest_pb2.ErasePersonRequest(idempotency_key="erase", identity_ids=[message.identity.identity_id])
    return await ingest_pb2_grpc.PersonServiceStub(opened).ErasePerson(request, metadata=token, timeout=60)
