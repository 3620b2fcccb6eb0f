"""Adds the indexes that find a message by its id, and by the id of its channel."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_GIVEN = sa.text("native_message_id <> ''")


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("messages_by_id", "messages", ["tenant", "message_id"])
    op.create_index(
        "messages_by_native_id",
        "messages",
        ["tenant", "native_message_id"],
        sqlite_where=_GIVEN,
        postgresql_where=_GIVEN,
    )


def downgrade() -> None:
    """Drop the indexes."""
    for name in ("messages_by_native_id", "messages_by_id"):
        op.drop_index(name, "messages")
