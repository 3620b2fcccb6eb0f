"""Adds blocked senders, and the messages that were kept because their sender was blocked."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_KEPT = sa.text("blocked <> 0")
_BLOCKED = sa.text("blocked_until_ms <> 0")


def upgrade() -> None:
    """Add the columns and their indexes."""
    op.add_column("messages", sa.Column("blocked", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("identities", sa.Column("blocked_until_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("identities", sa.Column("blocked_at_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("identities", sa.Column("block", sa.JSON(), nullable=False, server_default="{}"))
    op.create_index(
        "messages_of_blocked", "messages", ["tenant", "author_id"], sqlite_where=_KEPT, postgresql_where=_KEPT
    )
    op.create_index(
        "identities_blocked",
        "identities",
        ["tenant", "blocked_until_ms", "identity_id"],
        sqlite_where=_BLOCKED,
        postgresql_where=_BLOCKED,
    )


def downgrade() -> None:
    """Drop the columns and their indexes."""
    op.drop_index("identities_blocked", "identities")
    op.drop_index("messages_of_blocked", "messages")
    for name in ("block", "blocked_at_ms", "blocked_until_ms"):
        op.drop_column("identities", name)
    op.drop_column("messages", "blocked")
