"""How many calls an audit record is about."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; a record from before is about one call."""
    op.add_column("audit", sa.Column("calls", sa.BigInteger(), nullable=False, server_default="1"))


def downgrade() -> None:
    """Drops it."""
    op.drop_column("audit", "calls")
