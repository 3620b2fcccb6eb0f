"""Adds what a customer sent: its kind, what it answers, and what it deletes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NUMBERS = ("kind", "placeholder")
_TEXTS = ("in_reply_to", "content", "deletes_message_id")
_INDEXES = (("messages_editing", "edits_message_id"), ("messages_deleting", "deletes_message_id"))


def upgrade() -> None:
    """Add the columns; of older messages nothing is known."""
    for name in _NUMBERS:
        op.add_column("messages", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    for name in _TEXTS:
        op.add_column("messages", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    for index, column in _INDEXES:
        given = sa.text(f"{column} <> ''")
        op.create_index(index, "messages", ["tenant", column], sqlite_where=given, postgresql_where=given)


def downgrade() -> None:
    """Drop the columns."""
    for index, _ in _INDEXES:
        op.drop_index(index, "messages")
    for name in (*_NUMBERS, *_TEXTS):
        op.drop_column("messages", name)
