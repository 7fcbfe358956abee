"""Events without an index by outcome: reports read running sums, and each click cost a page."""

import sqlalchemy as sa
from alembic import op

revision = "events_0005"
down_revision = "events_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the index."""
    op.drop_index("events_outcome", "events")


def downgrade() -> None:
    """Make it again."""
    op.create_index("events_outcome", "events", ["kind", "at_ms"], sqlite_where=sa.text("kind > 0"))
