"""Adds where a message is kept as it arrived."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; older messages were not kept as they arrived."""
    op.add_column("messages", sa.Column("original", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("messages", "original")
