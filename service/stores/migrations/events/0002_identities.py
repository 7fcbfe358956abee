"""Which unit a signed-in user is dealt as, which units are one person, and exposures that cross."""

import sqlalchemy as sa
from alembic import op

revision = "events_0002"
down_revision = "events_0001"
branch_labels = None
depends_on = None

_ROLLOUT_INDEX = ["rollout_key", "epoch", "unit_key", "at_ms", "variant", "reason"]


def upgrade() -> None:
    """Add the tables and the mark; a unique key makes the first write win."""
    op.create_table(
        "identities",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("user_key", sa.Text(), nullable=False),
        sa.Column("unit_kind", sa.Text(), nullable=False),
        sa.Column("unit_key", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("user_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("identities_unit", "identities", ["unit_key"])
    op.create_table(
        "unit_links",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("unit_key", sa.Text(), nullable=False),
        sa.Column("other_kind", sa.Text(), nullable=False),
        sa.Column("other_key", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("unit_key", "other_key"),
        sqlite_autoincrement=True,
    )
    op.add_column(
        "exposures", sa.Column("crossover", sa.Integer(), nullable=False, server_default="0")
    )
    _index([*_ROLLOUT_INDEX, "crossover"])


def downgrade() -> None:
    """Drop them."""
    _index(_ROLLOUT_INDEX)
    op.drop_column("exposures", "crossover")
    op.drop_table("unit_links")
    op.drop_table("identities")


def _index(columns: list[str]) -> None:
    op.drop_index("exposures_rollout", "exposures")
    op.create_index(
        "exposures_rollout",
        "exposures",
        columns,
        unique=False,
        sqlite_where=sa.text("rollout_key IS NOT NULL"),
    )
