"""Names the invitations' table by its rows, and the epoch of an interaction's attributes."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rename the table with its index, and the column."""
    op.drop_index("answers_of_interaction", "answers")
    op.rename_table("answers", "invitations")
    op.create_index("invitations_of_interaction", "invitations", ["tenant", "interaction_id"])
    op.execute("ALTER TABLE interactions RENAME COLUMN facts_epoch TO attributes_epoch")


def downgrade() -> None:
    """Rename them back."""
    op.execute("ALTER TABLE interactions RENAME COLUMN attributes_epoch TO facts_epoch")
    op.drop_index("invitations_of_interaction", "invitations")
    op.rename_table("invitations", "answers")
    op.create_index("answers_of_interaction", "answers", ["tenant", "interaction_id"])
