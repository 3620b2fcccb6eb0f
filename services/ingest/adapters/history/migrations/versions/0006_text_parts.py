"""Adds the parts of a message's text: new, quoted, a signature."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; the whole text of older messages is new."""
    op.add_column("messages", sa.Column("text_parts", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("messages", "text_parts")
