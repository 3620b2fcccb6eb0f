"""Adds the recipients of a mail, and whether its author only takes part in the conversation."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_INDEX = "messages_of_participants"
_LISTS = ("to_addresses", "cc_addresses")


def upgrade() -> None:
    """Add the columns and the index; of older messages nothing is known."""
    for name in _LISTS:
        op.add_column("messages", sa.Column(name, sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("messages", sa.Column("participant", sa.Integer(), nullable=False, server_default="0"))
    given = sa.text("participant <> 0")
    op.create_index(_INDEX, "messages", ["tenant", "author_id"], sqlite_where=given, postgresql_where=given)


def downgrade() -> None:
    """Drop the index and the columns."""
    op.drop_index(_INDEX, "messages")
    for name in (*_LISTS, "participant"):
        op.drop_column("messages", name)
