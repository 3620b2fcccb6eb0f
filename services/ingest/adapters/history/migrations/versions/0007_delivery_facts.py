"""Adds what is known of a delivery's state: who states it and when, whether it can be repeated, and who wrote the message."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NEW = ("retryable", "source", "stated_at_ms", "author_kind", "author_id", "invitation_id")


def upgrade() -> None:
    """Add the columns; of older deliveries nothing more is known."""
    for name in ("author_id", "invitation_id"):
        op.add_column("deliveries", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    for name in ("source", "author_kind"):
        op.add_column("deliveries", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("deliveries", sa.Column("stated_at_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("deliveries", sa.Column("retryable", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drop the columns."""
    for name in _NEW:
        op.drop_column("deliveries", name)
