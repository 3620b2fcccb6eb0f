"""Adds to a delivery the one that it sends again, and the pool whose router learns what became of it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NEW = ("resends_delivery_id", "pool")


def upgrade() -> None:
    """Add the columns; older deliveries send none again."""
    for name in _NEW:
        op.add_column("deliveries", sa.Column(name, sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop the columns."""
    for name in _NEW:
        op.drop_column("deliveries", name)
