"""Exposures, events, and the ledger that counts both."""

import sqlalchemy as sa
from alembic import op

revision = "events_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table of ``events.sqlite``."""
    op.create_table(
        "counters",
        sa.Column("writer_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("writer_id", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.Integer(), nullable=False),
        sa.Column("received_ms", sa.Integer(), nullable=False),
        sa.Column("user_key", sa.Text(), nullable=True),
        sa.Column("anonymous_key", sa.Text(), nullable=True),
        sa.Column("session_key", sa.Text(), nullable=True),
        sa.Column("item_id", sa.Text(), nullable=True),
        sa.Column("banner_id", sa.Text(), nullable=True),
        sa.Column("exposure_id", sa.Text(), nullable=True),
        sa.Column("quantity", sa.Float(), nullable=True),
        sa.Column("price", sa.Float(), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("event_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "events_anonymous",
        "events",
        ["anonymous_key", "at_ms"],
        unique=False,
        sqlite_where=sa.text("anonymous_key IS NOT NULL AND item_id IS NOT NULL"),
    )
    op.create_index(
        "events_outcome",
        "events",
        ["kind", "at_ms"],
        unique=False,
        sqlite_where=sa.text("kind > 0"),
    )
    op.create_index(
        "events_user",
        "events",
        ["user_key", "at_ms"],
        unique=False,
        sqlite_where=sa.text("user_key IS NOT NULL AND item_id IS NOT NULL"),
    )
    op.create_table(
        "exposures",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("exposure_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.Integer(), nullable=False),
        sa.Column("unit_kind", sa.Text(), nullable=True),
        sa.Column("unit_key", sa.Text(), nullable=True),
        sa.Column("user_key", sa.Text(), nullable=True),
        sa.Column("anonymous_key", sa.Text(), nullable=True),
        sa.Column("session_key", sa.Text(), nullable=True),
        sa.Column("placement_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("degraded", sa.Text(), nullable=True),
        sa.Column("rollout_key", sa.Text(), nullable=True),
        sa.Column("variant", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("page", sa.Text(), nullable=True),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("exposure_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "exposures_rollout",
        "exposures",
        ["rollout_key", "epoch", "unit_key", "at_ms", "variant", "reason"],
        unique=False,
        sqlite_where=sa.text("rollout_key IS NOT NULL"),
    )
    op.create_index(
        "exposures_unit",
        "exposures",
        ["unit_key", "placement_id", "at_ms"],
        unique=False,
        sqlite_where=sa.text("unit_key IS NOT NULL"),
    )
    op.create_table(
        "writers",
        sa.Column("writer_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("opened_ms", sa.Integer(), nullable=False),
        sa.Column("closed_ms", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("writer_id"),
        sqlite_autoincrement=True,
    )
