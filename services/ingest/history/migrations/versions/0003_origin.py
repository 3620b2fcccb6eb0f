"""Where a customer's message says that it comes from, and what of that is proven."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; older messages state nothing."""
    op.add_column("messages", sa.Column("origin", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Drops it."""
    op.drop_column("messages", "origin")
