"""How SQLite finds the edits and deletions of a page's messages."""

import sqlalchemy as sa

from services.ingest.adapters.history import queries
from services.ingest.adapters.history.marks import Wanted
from services.ingest.adapters.history.tables import METADATA


def test_edits_and_deletions_are_found_by_their_indexes() -> None:
    """Not by reading all messages of the tenant."""
    engine = sa.create_engine("sqlite://")
    METADATA.create_all(engine)
    query = queries.changes("acme", Wanted(["a", "b"], [], []))
    with engine.connect() as connection:
        statement = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
        plan = [str(row[3]) for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {statement}"))]
    searches = [step for step in plan if "messages" in step]
    assert searches == [
        "SEARCH messages USING INDEX messages_editing (tenant=? AND edits_message_id=?)",
        "SEARCH messages USING INDEX messages_deleting (tenant=? AND deletes_message_id=?)",
    ]
