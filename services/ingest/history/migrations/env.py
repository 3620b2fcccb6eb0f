"""Runs migrations on the connection that `database.migrate` hands over; whoever works on the schema uses it the same way."""

from alembic import context

from services.ingest.history.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="history_version",
    render_as_batch=True,
)
context.run_migrations()
