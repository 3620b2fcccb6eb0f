"""Runs migrations on the connection that `database.migrate` passes; schema development uses it in the same way."""

from alembic import context

from services.ingest.adapters.history.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="history_version",
    render_as_batch=True,
)
context.run_migrations()
