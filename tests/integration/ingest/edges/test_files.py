"""Files that come by mail: stored before the mail is accepted, sealed, and never a reason to lose words."""

import json
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient
from standardwebhooks import Webhook
from websockets.asyncio.client import ClientConnection, connect

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.chassis.ids import derive
from services.chassis.metrics import Metrics
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.files.places import FilePlace, Folder
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.metrics import METRICS
from tests.fakes.privacy import a_keyring
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.ingest.edges.conftest import SECRET, Edges, ingest, install, routed
from tests.integration.ingest.edges.test_grpc import channel, decided
from tests.integration.ingest.edges.test_smtp import plain_mail, send

pytestmark = pytest.mark.kafka

PDF = b"%PDF-1.7\n" + os.urandom(100_000)


def with_files(*files: tuple[str, bytes]) -> EmailMessage:
    """An ordinary mail with these files."""
    mail = plain_mail()
    for name, content in files:
        mail.add_attachment(content, maintype="text", subtype="html", filename=name)
    return mail


def signed(body: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a request with a signed body."""
    raw, at = json.dumps(body), datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRET["WEBHOOK"]).sign("msg_1", at, raw),
        "content-type": "application/json",
    }
    return {"content": raw, "headers": headers}


async def downloaded(edges: Edges, tmp_path: Path, file: records_pb2.Attachment, folder: Folder) -> bytes:
    """The bytes of a file, read by another process with the person's key."""
    metrics = Metrics()
    metrics.declare(METRICS)
    async with a_keyring(edges.kafka) as keys:
        files = SealedFiles(file_store("", str(tmp_path), metrics), keys, FilePolicy())
        opened = await files.open(FilePlace("demo", file.owner_id, file.file_id, folder))
        return b"".join([piece async for piece in opened.pieces])


async def test_a_mails_files_are_stored_when_it_is_accepted(edges: Edges, tmp_path: Path) -> None:
    """250 means that the attachment and the mail itself can be read. The stated type does not count."""
    raw = with_files(("صورتحساب.pdf", PDF), ("run.exe", b"MZ" + bytes(100))).as_bytes(policy=SMTP)
    assert (await send(edges, raw))[0] == 250
    (record,) = await edges.inbound(1)
    pdf, program = record.message.attachments
    assert (pdf.name, pdf.content_type, pdf.size) == ("صورتحساب.pdf", "application/pdf", len(PDF))
    assert pdf.state == records_pb2.ATTACHMENT_STATE_STORED
    assert pdf.owner_id == record.message.identity.identity_id
    assert await downloaded(edges, tmp_path, pdf, Folder.FILES) == PDF
    assert (program.name, program.state) == ("run.exe", records_pb2.ATTACHMENT_STATE_REFUSED)
    assert program.refusal == records_pb2.ATTACHMENT_REFUSAL_TYPE_NOT_ALLOWED
    original = record.message.original
    assert original.content_type == "message/rfc822"
    assert (await downloaded(edges, tmp_path, original, Folder.ORIGINALS)).rstrip() == raw.rstrip()
    assert record.message.text == "سلام، سفارش من نرسیده است."


async def test_a_large_mail_with_a_file_arrives(edges: Edges, tmp_path: Path) -> None:
    """The file of the largest kind of mail passes through the worker's pipe."""
    content = b"%PDF-1.7\n" + os.urandom(17 << 20)
    assert (await send(edges, with_files(("scan.pdf", content)).as_bytes(policy=SMTP)))[0] == 250
    (record,) = await edges.inbound(1)
    (file,) = record.message.attachments
    assert (file.state, file.size) == (records_pb2.ATTACHMENT_STATE_STORED, len(content))


async def test_a_mail_that_cannot_be_parsed_can_be_downloaded(edges: Edges, tmp_path: Path) -> None:
    """Too many parts within parts: its words are in its original, complete."""
    depth = 60
    raw = b"From: a@b.example\r\nMessage-ID: <deep@b.example>\r\n"
    for level in range(depth):
        raw += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
    raw += b"\r\nplease cancel my order\r\n"
    assert (await send(edges, raw))[0] == 250
    (record,) = await edges.inbound(1)
    assert (await downloaded(edges, tmp_path, record.message.original, Folder.ORIGINALS)).rstrip() == raw.rstrip()


async def test_an_agent_downloads_a_file_by_a_link(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """From the mail to the link, the bytes and the erasure; the response can't be shown as a page."""
    settings = kafka.settings(prefix)
    await install(settings, routed())
    async with ingest(settings, tmp_path, role="all", history=True) as edges, AsyncClient() as http:
        assert (await send(edges, with_files(("صورتحساب.html", b"<html>" + PDF)).as_bytes(policy=SMTP)))[0] == 250
        (record, *_) = await edges.inbound(1)
        async with channel(edges) as (opened, token):
            history = ingest_pb2_grpc.IngestServiceStub(opened)
            wanted = ingest_pb2.GetFileLinkRequest(
                conversation_id=derive("conversation", record.message.message_id),
                message_id=record.message.message_id,
                file_id=record.message.attachments[0].file_id,
            )
            link = await decided(edges, lambda: history.GetFileLink(wanted, metadata=token, timeout=10))
            assert link.attachment.name == "صورتحساب.html"
            response = await http.get(link.url)
            assert (response.status_code, response.content) == (200, b"<html>" + PDF)
            assert response.headers["content-disposition"].startswith("attachment; filename*=UTF-8''%D8%B5")
            assert response.headers["content-type"] == "application/octet-stream"
            assert response.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in response.headers["content-security-policy"]
            head = await http.head(link.url)
            assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(PDF) + 6))
            assert (await http.get(link.url + "x")).status_code == 404

            wanted.file_id = record.message.original.file_id
            original = await history.GetFileLink(wanted, metadata=token, timeout=10)
            assert PDF[:20] not in (await http.get(original.url)).content
            assert b"Subject:" in (await http.get(original.url)).content

            # Erasure: the link's file is gone, the store is empty, and the report says so.
            erasing = ingest_pb2.ErasePersonRequest(
                idempotency_key="erase", identity_ids=[record.message.identity.identity_id]
            )
            report = await ingest_pb2_grpc.PersonServiceStub(opened).ErasePerson(erasing, metadata=token, timeout=60)
            (files,) = (each for each in report.stores if each.store == "files")
            assert (dict(files.counts), list(files.waiting_for)) == ({"files": 2}, [])
            assert (await http.get(link.url)).status_code == 404
            assert [each for each in (tmp_path / "files").rglob("*") if each.is_file()] == []


async def test_files_come_by_webhook_and_grpc(edges: Edges, tmp_path: Path) -> None:
    """A message may have files and no text; the answer says that they are stored."""
    small = PDF[:50_000]
    async with channel(edges) as (opened, token):
        request = ingest_pb2.SubmitRequest(idempotency_key="k1", native_id="ali")
        request.files.add(name="../a.pdf", content=small)
        await ingest_pb2_grpc.IngestServiceStub(opened).Submit(request, metadata=token, timeout=10)
    file = {"name": "b.pdf", "content": b64encode(small).decode()}
    body = {"message_id": "m1", "customer": {"id": "ali"}, "files": [file]}
    async with AsyncClient() as http:
        good = await http.post(edges.url("/v1/demo/webhook/main"), **signed(body))
        bad = await http.post(edges.url("/v1/demo/webhook/main"), **signed({**body, "files": [{"content": "?"}]}))
        many = await http.post(edges.url("/v1/demo/webhook/main"), **signed({**body, "files": [file] * 21}))
    assert (good.status_code, bad.status_code, many.status_code) == (200, 400, 400)
    assert "files[0].content" in bad.text
    records = await edges.inbound(2)
    assert {record.message.kind for record in records} == {records_pb2.MESSAGE_KIND_ATTACHMENT}
    for record in records:
        (kept,) = record.message.attachments
        assert (kept.content_type, kept.state) == ("application/pdf", records_pb2.ATTACHMENT_STATE_STORED)
        assert await downloaded(edges, tmp_path, kept, Folder.FILES) == small
    assert sorted(record.message.attachments[0].name for record in records) == ["a.pdf", "b.pdf"]


async def test_a_visitor_sends_a_file_in_web_chat(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """Uploaded with the visitor's token, sent by receipt, and shown with a link. Nobody else can use the receipt."""
    settings = kafka.settings(prefix)
    await install(settings, routed())
    async with ingest(settings, tmp_path, role="all", history=True) as edges, AsyncClient() as http:
        upload = edges.url("/v1/demo/webchat/main/files?name=..%2F%D8%B9%DA%A9%D8%B3.pdf")
        async with connect(edges.ws("/v1/demo/webchat/main/ws")) as mine:
            token = (await hello(mine))["token"]
            headers = {"authorization": f"Bearer {token}"}
            assert (await http.post(upload, content=PDF)).status_code == 401
            assert (
                await http.post(upload, content=PDF, headers={**headers, "origin": "https://evil.example"})
            ).status_code == 403
            assert (await http.post(upload, content=bytes((25 << 20) + 1), headers=headers)).status_code == 413
            assert (await http.post(upload, content=parts(bytes((25 << 20) + 1)), headers=headers)).status_code == 413
            assert (await http.post(upload, content=b"MZ", headers=headers)).status_code == 400
            answer = (await http.post(upload, content=PDF, headers=headers)).json()
            assert (answer["name"], answer["type"], answer["size"]) == ("عکس.pdf", "application/pdf", len(PDF))

            frame = {"type": "message", "id": str(uuid4()), "files": [answer["file"]]}
            async with connect(edges.ws("/v1/demo/webchat/main/ws")) as theirs:
                await hello(theirs)
                await theirs.send(json.dumps({**frame, "id": str(uuid4())}))
                assert json.loads(await theirs.recv())["type"] == "refused"
            await mine.send(json.dumps(frame))
            while (shown := json.loads(await mine.recv()))["type"] != "message":
                assert shown["type"] == "ack"
            (file,) = shown["files"]
            assert file["name"] == "عکس.pdf"
            assert (await http.get(edges.url(file["url"]))).content == PDF
    assert len([each for each in (tmp_path / "files").rglob("*") if each.is_file()]) == 1


async def hello(socket: ClientConnection) -> dict[str, Any]:
    """Say hello and return the welcome."""
    await socket.send(json.dumps({"type": "hello"}))
    return dict(json.loads(await socket.recv()))


async def parts(content: bytes) -> AsyncIterator[bytes]:
    """The content in pieces, without a stated length."""
    for at in range(0, len(content), 1 << 20):
        yield content[at : at + (1 << 20)]


async def test_a_store_that_is_away_keeps_the_mail_at_its_server(edges: Edges, tmp_path: Path) -> None:
    """451, and nothing is in the log; the same mail is accepted when the store is back."""
    folder = tmp_path / "files"
    folder.rmdir()
    folder.write_text("in the place of the directory")
    raw = with_files(("a.pdf", PDF)).as_bytes(policy=SMTP)
    assert (await send(edges, raw))[0] == 451
    assert await edges.inbound(0) == []
    folder.unlink()
    assert (await send(edges, raw))[0] == 250
    assert len(await edges.inbound(1)) == 1


async def test_a_page_of_a_listed_origin_may_upload_and_no_other(edges: Edges) -> None:
    """A browser asks before it uploads; the answer names the page's origin only if the account lists it."""
    async with AsyncClient() as http:
        upload = edges.url("/v1/demo/webchat/main/files?name=a.pdf")
        for origin, allowed in (("https://shop.example", "https://shop.example"), ("https://evil.example", None)):
            asked = await http.options(upload, headers={"origin": origin, "access-control-request-method": "POST"})
            assert (asked.status_code, asked.headers.get("access-control-allow-origin")) == (204, allowed)
            assert "authorization" in asked.headers["access-control-allow-headers"]
            sent = await http.post(upload, content=PDF, headers={"origin": origin})
            assert sent.status_code == (403 if allowed is None else 401)
            assert sent.headers.get("access-control-allow-origin") == allowed
            assert sent.headers["vary"] == "Origin"
