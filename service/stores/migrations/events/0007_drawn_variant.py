"""Which variant a client says it drew."""

import sqlalchemy as sa
from alembic import op

revision = "events_0007"
down_revision = "events_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; no row changes."""
    op.add_column("events", sa.Column("variant", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("events", "variant")
