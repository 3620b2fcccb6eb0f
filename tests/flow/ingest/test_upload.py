"""An agent uploads a file for a reply: it is stored for the customer, if the channel carries it."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.errors import ChaparError
from services.chassis.tokens import Caller
from services.ingest.adapters.edges.grpc_upload import Uploader
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.files.places import FilePlace
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.domain.reasons import Reason
from services.ingest.domain.sent_files import problem_of_reply
from services.ingest.translate.attachments import attachment
from tests.contract.files.test_sealed import whole
from tests.flow.ingest.test_resend import AGENT, SUPERVISOR, Scene, called_by, scene
from tests.flow.ingest.world import TENANT

__all__ = ["scene"]
PDF = b"%PDF-1.7\n" + os.urandom(200_000)
CHUNK = 50_000


class Uploads:
    """The method, on the history of a customer on Telegram."""

    def __init__(self, scene: Scene, directory: Path) -> None:
        self.scene = scene
        self.interaction = scene.world.enqueued[0].interaction_id
        self.directory = directory
        policy = FilePolicy(max_bytes=60 << 20)
        self.files = SealedFiles(file_store("", str(directory), scene.world.metrics), scene.world.keys, policy)
        self.uploader = Uploader(self.files, scene.history, scene.history.owner, scene)

    async def upload(
        self,
        content: bytes = PDF,
        caller: Caller = SUPERVISOR,
        *,
        key: str = "k",
        interaction_id: str = "",
        requests: AsyncIterator[ingest_pb2.UploadFileRequest] | None = None,
    ) -> types_pb2.SentFile:
        """Upload a file."""
        await self.scene.read()
        sent = requests or _requests(content, key, interaction_id or self.interaction)
        with called_by(caller):
            return (await self.uploader.upload(sent)).file

    async def refused(self, content: bytes = PDF, caller: Caller = SUPERVISOR, **changes: str) -> ChaparError:
        """Return the refusal; nothing is stored."""
        with pytest.raises(ChaparError) as refusal:
            await self.upload(content, caller, **changes)  # type: ignore[arg-type]  # texts, by name
        assert [each for each in self.directory.rglob("*") if each.is_file() and "history" not in each.name] == []
        return refusal.value


async def _requests(content: bytes, key: str, interaction_id: str) -> AsyncIterator[ingest_pb2.UploadFileRequest]:
    head = ingest_pb2.UploadHead(idempotency_key=key, interaction_id=interaction_id, name="../invoice.pdf")
    yield ingest_pb2.UploadFileRequest(head=head)
    for at in range(0, len(content), CHUNK):
        yield ingest_pb2.UploadFileRequest(chunk=content[at : at + CHUNK])


async def _listed(*requests: ingest_pb2.UploadFileRequest) -> AsyncIterator[ingest_pb2.UploadFileRequest]:
    for each in requests:
        yield each


@pytest.fixture
def uploads(scene: Scene, tmp_path: Path) -> Uploads:
    return Uploads(scene, tmp_path / "state")


async def test_a_file_is_stored_for_this_interaction(uploads: Uploads) -> None:
    """Sealed with the customer's key, under an id that can be sent in this interaction only."""
    file = await uploads.upload()
    assert (file.name, file.content_type, file.size) == ("invoice.pdf", "application/pdf", len(PDF))
    assert file.sha256 == hashlib.sha256(PDF).hexdigest()
    assert await whole(await uploads.files.open(FilePlace(TENANT, file.owner_id, file.file_id))) == PDF
    record = records_pb2.Attachment(
        file_id=file.file_id, owner_id=file.owner_id, content_type=file.content_type, size=file.size
    )
    assert problem_of_reply("telegram", [attachment(record)], uploads.interaction) == ""
    assert problem_of_reply("telegram", [attachment(record)], "another") == Reason.FILE_OF_OTHERS
    uploads.scene.world.keys.destroy(TENANT, file.owner_id)
    with pytest.raises(ChaparError):
        await uploads.files.open(FilePlace(TENANT, file.owner_id, file.file_id))


async def test_a_repetition_is_the_same_file(uploads: Uploads) -> None:
    """The caller did not get the answer, and asks again; another key is another file."""
    assert await uploads.upload() == await uploads.upload()
    assert (await uploads.upload(key="other")).file_id != (await uploads.upload()).file_id


async def test_the_limit_of_the_channel_is_named(uploads: Uploads) -> None:
    """Before all bytes have come, and nothing of it is kept."""
    refusal = await uploads.refused(PDF + bytes(50 << 20))
    assert refusal.reason == Reason.FILE_TOO_LARGE_FOR_CHANNEL
    assert "telegram takes at most 50 MB" in refusal.message


async def test_what_we_take_from_no_customer_we_send_to_none(uploads: Uploads) -> None:
    """A program."""
    assert (await uploads.refused(b"MZ" + bytes(100))).reason == Reason.FILE_TYPE_NOT_SENDABLE


async def test_agents_upload_for_what_they_may_see(uploads: Uploads) -> None:
    """An interaction out of reach, or of no one, is not known."""
    assert (await uploads.refused(caller=AGENT)).reason == Reason.UNKNOWN_INTERACTION
    assert (await uploads.refused(interaction_id="none")).reason == Reason.UNKNOWN_INTERACTION
    uploads.scene.served = frozenset({"general", "persian", "sales"})
    assert (await uploads.upload(caller=AGENT)).size == len(PDF)


@pytest.mark.parametrize(
    "requests",
    [
        (),
        (ingest_pb2.UploadFileRequest(),),
        (ingest_pb2.UploadFileRequest(chunk=b"x"),),
        (ingest_pb2.UploadFileRequest(head=ingest_pb2.UploadHead()),),
    ],
)
async def test_the_head_comes_first(uploads: Uploads, requests: tuple[ingest_pb2.UploadFileRequest, ...]) -> None:
    """Otherwise it is not known whose file it is."""
    with pytest.raises(ChaparError) as refusal:
        await uploads.upload(requests=_listed(*requests))
    assert refusal.value.reason == Reason.INVALID_FIELD


async def test_a_second_head_is_refused(uploads: Uploads) -> None:
    """It would change the owner of the bytes."""
    head = ingest_pb2.UploadFileRequest(
        head=ingest_pb2.UploadHead(idempotency_key="k", interaction_id=uploads.interaction)
    )
    chunk = ingest_pb2.UploadFileRequest(chunk=PDF)
    with pytest.raises(ChaparError) as refusal:
        await uploads.upload(requests=_listed(head, chunk, head))
    assert refusal.value.reason == Reason.INVALID_FIELD
