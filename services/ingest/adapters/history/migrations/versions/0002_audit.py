"""The audit log's table."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table and its indexes."""
    op.create_table(
        "audit",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("target_kind", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Text(), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("action", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "event_id", "target_kind", "target_id"),
    )
    op.create_index("audit_newest", "audit", ["tenant", "occurred_at_ms", "event_id"])
    op.create_index("audit_of_target", "audit", ["tenant", "target_kind", "target_id", "occurred_at_ms"])
    op.create_index("audit_of_subject", "audit", ["tenant", "subject", "occurred_at_ms"])


def downgrade() -> None:
    """Drops it."""
    op.drop_table("audit")
