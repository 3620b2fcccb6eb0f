"""Adds the claimed origin of a customer's message, and which part of it is proven."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; older messages have no origin."""
    op.add_column("messages", sa.Column("origin", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("messages", "origin")
