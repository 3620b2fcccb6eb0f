"""Adds an index by which identities with the same address are found."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("identities_by_address", "identities", ["tenant", "channel", "native_id"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("identities_by_address", "identities")
