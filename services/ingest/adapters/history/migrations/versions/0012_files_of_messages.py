"""Adds to a message the place of the newest change of its files, so that watchers see it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; files of older messages never change."""
    op.add_column("messages", sa.Column("files_sequence", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("messages", "files_sequence")
