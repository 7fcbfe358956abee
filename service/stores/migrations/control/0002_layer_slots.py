"""Who owns which slot of which layer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "control_0002"
down_revision = "control_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One row a slot: the primary key is what keeps rollouts of a layer apart."""
    op.create_table(
        "layer_slots",
        sa.Column("layer", sa.Text, primary_key=True),
        sa.Column("slot", sa.Integer, primary_key=True),
        sa.Column("owner", sa.Text),
        sa.Column("last_owner", sa.Text, nullable=False),
        sa.Column("freed_at_ms", sa.BigInteger),
    )
    op.create_index("layer_slots_owner", "layer_slots", ["owner"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("layer_slots")
