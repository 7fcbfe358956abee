"""Exposures without an index by rollout: running sums follow `seq`, and each row cost a page."""

import sqlalchemy as sa
from alembic import op

revision = "events_0004"
down_revision = "events_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the index."""
    op.drop_index("exposures_rollout", "exposures")


def downgrade() -> None:
    """Make it again."""
    op.create_index(
        "exposures_rollout",
        "exposures",
        ["rollout_key", "epoch", "unit_key", "at_ms", "variant", "reason", "crossover"],
        unique=False,
        sqlite_where=sa.text("rollout_key IS NOT NULL"),
    )
