"""Adds how the person of an identity wants to be reached: opt-outs and the preferred channel."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("identities", sa.Column("opt_outs", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("identities", sa.Column("preferred_channel", sa.Text(), nullable=False, server_default=""))
    op.add_column("identities", sa.Column("preferences_at_ms", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop the columns."""
    for name in ("preferences_at_ms", "preferred_channel", "opt_outs"):
        op.drop_column("identities", name)
