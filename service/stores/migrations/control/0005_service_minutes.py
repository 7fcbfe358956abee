"""How quick and how right each worker's answers were, minute by minute."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "control_0005"
down_revision = "control_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "service_minutes",
        sa.Column("worker", sa.Text, primary_key=True),
        sa.Column("from_ms", sa.BigInteger, primary_key=True),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.Column("n_errors", sa.Integer, nullable=False),
        sa.Column("buckets", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("service_minutes")
