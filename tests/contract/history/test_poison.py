"""A record that history can't write, or not in a reasonable time, is skipped; the records around it are written."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from chapar.audit.v1 import audit_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.kafka.records import Record
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.ingest.adapters.history import store, tables
from services.ingest.adapters.history.database import Database, database_url
from services.ingest.adapters.history.projection import Projection
from services.ingest.metrics import METRICS
from tests.fakes.privacy import MemoryKeys
from tests.unit.poison.generator import NOW, Generator

SCHEMAS = (
    ("conversations.v1", records_pb2.ConversationRecord),
    ("routing.events.v1", router_pb2.RoutingEvent),
    ("sla.events.v1", sla_pb2.SlaEvent),
    ("deliveries.v1", records_pb2.DeliveryRecord),
    ("feedback.responses.v1", feedback_pb2.FeedbackRecord),
    ("audit.v1", audit_pb2.AuditRecord),
)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(database_url(f"sqlite:///{tmp_path}/history.sqlite3", {}, "", "")) as made:
        yield made


def projection(database: Database, metrics: Metrics, patience_s: float = 30.0) -> Projection:
    kafka = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9", "topic_prefix": "t."})
    return Projection(
        kafka,
        database,
        metrics,
        client_id="history",
        caught_up=lambda: None,
        written=lambda: None,
        keys=MemoryKeys(),
        patience_s=patience_s,
    )


def said(offset: int, words: str) -> Record:
    """Return a customer's message."""
    record = records_pb2.ConversationRecord(
        event_id=f"e{offset}", tenant="acme", conversation_id="c1", identity_id="d1", occurred_at_ms=NOW
    )
    record.message.message_id = f"m{offset}"
    record.message.channel, record.message.text = "webchat", words
    return Record("conversations.v1", 0, offset, NOW, b"c1", record.SerializeToString(), ())


async def test_no_record_of_any_topic_stops_the_projection(database: Database) -> None:
    """Plausible, impossible and broken records in batches: positions move past all of them, and most are written."""
    metrics, generator = Metrics(METRICS), Generator(3, odd=0.05)
    folding = projection(database, metrics)
    async with database.folder() as connection:
        folding._next = await store.positions(connection, [(f"t.{topic}", 0) for topic, _ in SCHEMAS])
        for topic, schema in SCHEMAS:
            for first in range(0, 300, 50):
                batch = [generator.record(topic, offset, schema) for offset in range(first, first + 50)]
                await folding._write(connection, batch)
        assert set(folding._next.values()) == {300}
    counted = metrics.counter("chapar_history_records_total")
    assert counted.labels("conversations.v1", "written")._value.get() > 50


async def test_a_record_that_takes_too_long_is_stepped_over(database: Database) -> None:
    """Three tries, each on a new connection; then the record is refused, and the other records of its batch are written."""
    metrics = Metrics(METRICS)
    folding = projection(database, metrics, patience_s=0.3)
    batch = [said(0, "before"), said(1, "slow"), said(2, "after")]
    async with database.folder() as connection, connection.begin():
        count = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000000) SELECT count(*) FROM n"
        )
        await connection.execute(
            text(f"CREATE TRIGGER slow AFTER INSERT ON messages WHEN NEW.text = 'slow' BEGIN {count}; END")
        )
    tries = 0
    while folding._next.get(("t.conversations.v1", 0), 0) < 3:
        tries += 1
        assert tries < 10
        try:
            async with database.folder() as connection:
                folding._next = await store.positions(connection, [("t.conversations.v1", 0)])
                left = [record for record in batch if record.offset >= folding._next["t.conversations.v1", 0]]
                for some in [[each] for each in left] if folding._careful else [left]:
                    await folding._write(connection, some)
        except OSError:
            continue
    async with database.folder() as connection:
        found = [row.text for row in await connection.execute(select(tables.MESSAGES.c.text))]
    assert sorted(found) == ["after", "before"]
    assert metrics.counter("chapar_history_records_total").labels("conversations.v1", "refused")._value.get() == 1
