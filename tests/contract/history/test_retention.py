"""Old conversations are deleted from history with everything that belongs to them; others remain complete. Also: the
rows of an erased person.
"""

from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.metrics import Metrics
from services.chassis.privacy.sealing import seal
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.mapping import fact
from services.ingest.adapters.history.retention import BATCH, DAY_MS, Retention
from services.ingest.domain.reach import Reach
from services.ingest.metrics import METRICS
from tests.contract.history.records import T0, Life, as_records, whole_life
from tests.contract.history.tables_as_data import everything
from tests.contract.history.test_audit import a_record, write
from tests.contract.history.test_rows import fold, reader_of
from tests.fakes.privacy import MemoryKeys


def a_retention(database: Database, days: int, now_ms: int, metrics: Metrics | None = None) -> Retention:
    return Retention(database, days, 1, lambda: now_ms, metrics or Metrics(METRICS))


async def test_old_conversations_leave_with_everything_and_young_ones_stay(database: Database) -> None:
    young, old, metrics = Life("young", at=T0 + 10 * DAY_MS), whole_life("old"), Metrics(METRICS)
    young.opened()
    young.said("hello")
    await fold(database, as_records(young.log))
    kept = await everything(database, positions=False)
    await fold(database, as_records([*young.log, *old.log]))
    assert await everything(database, positions=False) != kept
    gone = await a_retention(database, 5, T0 + 10 * DAY_MS, metrics).once()
    assert gone > 10
    assert await everything(database, positions=False) == kept
    assert metrics.value("chapar_history_retired_rows_total", "messages") == 2
    assert await a_retention(database, 5, T0 + 10 * DAY_MS).once() == 0


async def test_many_conversations_are_deleted_in_small_transactions(database: Database) -> None:
    lives = [Life(f"c{number}") for number in range(2 * BATCH + 5)]
    for life in lives:
        life.opened()
        life.said("hello")
    await fold(database, as_records([each for life in lives for each in life.log]), batch=500)
    assert await a_retention(database, 1, T0 + 2 * DAY_MS).once() >= 3 * len(lives)
    assert not [name for name, rows in (await everything(database, positions=False)).items() if rows]


async def test_records_of_an_erased_person_are_rows_without_anything_personal(database: Database) -> None:
    """A rebuild reads the records that Kafka still has: ids, times and the order of events, and no texts."""
    keys = MemoryKeys()
    record = records_pb2.ConversationRecord(
        event_id="e", tenant="acme", conversation_id="c", identity_id="i", person_id="p", occurred_at_ms=T0
    )
    record.message.message_id, record.message.text, record.message.channel = "m", "needle", "telegram"
    record.message.attachments.add(content_type="image/png", name="needle.png")
    value = seal(record, keys.made("acme", "i"), "conversations.v1", b"c")
    life = Life()
    life.log.append(("conversations.v1", b"c", value))
    (sealed,) = as_records(life.log)
    found = fact(sealed, keys)
    assert found is not None
    assert "needle" in str(found)
    keys.destroy("acme", "i")
    assert "needle" not in str(fact(sealed, keys))
    await fold(database, [sealed])
    answer = await reader_of(database).conversation(
        Reach.whole("acme"), ingest_pb2.GetConversationRequest(conversation_id="c")
    )
    (message,) = answer.messages
    assert (message.message.message_id, message.message.text) == ("m", "")
    assert message.message.attachments[0].content_type == "image/png"


async def test_audit_records_have_a_retention_of_their_own(database: Database) -> None:
    """Deleting a conversation deletes no audit record; an old audit record is deleted by its own retention."""
    await write(database, [a_record(0, targets=[("person", "p"), ("conversation", "c")])])
    young = Retention(database, 1, 10, lambda: T0 + 5 * DAY_MS, Metrics(METRICS))
    assert await young.once() == 0
    old = Retention(database, 0, 10, lambda: T0 + 11 * DAY_MS, Metrics(METRICS))
    assert await old.once() == 2
    assert (await everything(database, positions=False))["audit"] == []
