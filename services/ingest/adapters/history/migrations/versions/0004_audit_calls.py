"""Adds the number of calls that an audit record stands for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; an older record stands for one call."""
    op.add_column("audit", sa.Column("calls", sa.BigInteger(), nullable=False, server_default="1"))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("audit", "calls")
