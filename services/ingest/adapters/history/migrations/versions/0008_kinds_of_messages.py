"""Adds what a customer sent: its kind, what it answers, and what it deletes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NUMBERS = ("kind", "placeholder")
_TEXTS = ("in_reply_to", "content", "deletes_message_id")


def upgrade() -> None:
    """Add the columns; of older messages nothing is known."""
    for name in _NUMBERS:
        op.add_column("messages", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    for name in _TEXTS:
        op.add_column("messages", sa.Column(name, sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop the columns."""
    for name in (*_NUMBERS, *_TEXTS):
        op.drop_column("messages", name)
