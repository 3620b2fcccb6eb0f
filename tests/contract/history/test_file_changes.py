"""A watcher of a conversation learns what becomes of the files in it."""

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.reader import HistoryReader
from services.ingest.domain.reach import Reach
from tests.contract.history.records import Life, as_records
from tests.contract.history.test_rows import fold

TO_FETCH, STORED = records_pb2.ATTACHMENT_STATE_TO_FETCH, records_pb2.ATTACHMENT_STATE_STORED
REFUSED = records_pb2.ATTACHMENT_STATE_REFUSED


def with_files(life: Life, message_id: str, *file_ids: str) -> None:
    """The customer sends files, which are still at the provider."""
    files = [records_pb2.Attachment(file_id=each, state=TO_FETCH, name=f"{each}.pdf") for each in file_ids]
    message = records_pb2.ConversationMessage(
        message_id=message_id, author_kind=types_pb2.ACTOR_KIND_CUSTOMER, attachments=files, channel="telegram"
    )
    life.conversation(message=message)


def settled(life: Life, message_id: str, file_id: str, state: int = STORED) -> None:
    """A file was fetched, or can't be."""
    file = records_pb2.Attachment(file_id=file_id, name=f"{file_id}.pdf", size=7, sha256="ab")
    file.state = records_pb2.AttachmentState.ValueType(state)
    life.conversation(file_settled=records_pb2.FileSettled(message_id=message_id, attachment=file))


async def watched(database: Database, *, changes: bool) -> list[tuple[str, list[int]]]:
    """Watch a conversation while two files of one message are fetched; returns messages with the states of their files."""
    life = Life()
    life.opened("telegram")
    with_files(life, "one-m", "f-1", "f-2")
    await fold(database, as_records(life.log))
    coming = [("f-2", STORED), ("f-1", REFUSED)]

    async def more(_timeout_s: float) -> None:
        if coming:
            settled(life, "one-m", *coming.pop(0))
        else:
            life.said("thanks", message_id="last")
        await fold(database, as_records(life.log))

    reader = HistoryReader(FairReads(database), more)
    got = []
    async for view in reader.watch(lambda: Reach.whole("acme"), "one-c", -1, changes=changes):
        got.append((view.message.message_id, [int(each.state) for each in view.message.attachments]))
        if view.message.message_id == "last":
            break
    return got


async def test_a_message_comes_again_when_a_file_is_fetched(database: Database) -> None:
    """Once for each file, in its place in the message."""
    got = await watched(database, changes=True)
    assert got == [
        ("one-m", [TO_FETCH, TO_FETCH]),
        ("one-m", [TO_FETCH, STORED]),
        ("one-m", [REFUSED, STORED]),
        ("last", [0]),
    ]


async def test_a_watcher_who_does_not_ask_gets_each_message_once(database: Database) -> None:
    """As clients of earlier versions expect."""
    assert await watched(database, changes=False) == [("one-m", [TO_FETCH, TO_FETCH]), ("last", [0])]


async def test_a_message_and_its_file_in_one_batch(database: Database) -> None:
    """The rows are the same as in two batches; a file that the message does not have changes nothing."""
    life = Life()
    life.opened("telegram")
    with_files(life, "one-m", "f-1")
    settled(life, "one-m", "f-1")
    settled(life, "one-m", "f-9")
    settled(life, "nothing", "f-1")
    await fold(database, as_records(life.log))

    async def nothing(_timeout_s: float) -> None:
        return

    reader = HistoryReader(FairReads(database), nothing)
    async for view in reader.watch(lambda: Reach.whole("acme"), "one-c", -1, changes=True):
        (file,) = view.message.attachments
        assert (file.file_id, file.state, file.size, file.sha256) == ("f-1", STORED, 7, "ab")
        break
