"""A watcher of a conversation learns what becomes of the messages in it."""

from chapar.ingest.v1 import records_pb2
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.reader import HistoryReader
from services.ingest.domain.reach import Reach
from tests.contract.history.records import Life, as_records
from tests.contract.history.test_rows import fold

SENT, DELIVERED, READ = (
    records_pb2.DELIVERY_STATE_SENT,
    records_pb2.DELIVERY_STATE_DELIVERED,
    records_pb2.DELIVERY_STATE_READ,
)
FAILED = records_pb2.DELIVERY_STATE_FAILED


async def watched(database: Database, states: list[int], *, changes: bool) -> list[tuple[str, int]]:
    """Watch a conversation with one sent reply, whose delivery reaches one more state each time that the watcher waits; then
    the customer writes. Returns what the watcher got: message and state."""
    life = Life()
    life.opened()
    life.said("hello", message_id="one-m")
    life.said("it comes", message_id="one-d", agent="sara")
    life.delivery(SENT)
    await fold(database, as_records(life.log))
    coming = list(states)

    async def more(_timeout_s: float) -> None:
        if coming:
            life.delivery(coming.pop(0))
        else:
            life.said("thanks", message_id="last")
        await fold(database, as_records(life.log))

    reader = HistoryReader(FairReads(database), more)
    got = []
    async for view in reader.watch(lambda: Reach.whole("acme"), "one-c", -1, changes=changes):
        got.append((view.message.message_id, int(view.message.delivery_state)))
        if view.message.message_id == "last":
            break
    return got


async def test_a_message_comes_again_when_its_delivery_changes(database: Database) -> None:
    """Once for each state, and the sequence of messages goes on after it."""
    got = await watched(database, [DELIVERED, READ], changes=True)
    assert got == [("one-m", 0), ("one-d", SENT), ("one-d", DELIVERED), ("one-d", READ), ("last", 0)]


async def test_a_failure_after_the_sending_is_shown(database: Database) -> None:
    """The agent sees under their words that they did not arrive."""
    assert ("one-d", FAILED) in await watched(database, [FAILED], changes=True)


async def test_a_watcher_who_does_not_ask_gets_each_message_once(database: Database) -> None:
    """As clients of earlier versions expect."""
    got = await watched(database, [DELIVERED, READ], changes=False)
    assert got == [("one-m", 0), ("one-d", SENT), ("last", 0)]
