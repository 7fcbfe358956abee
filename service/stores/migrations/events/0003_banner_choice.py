"""What a slate of banners was chosen from, and for which segment."""

import sqlalchemy as sa
from alembic import op

revision = "events_0003"
down_revision = "events_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; a table of any size stays as it is."""
    op.add_column("exposures", sa.Column("segment", sa.Text(), nullable=True))
    op.add_column("exposures", sa.Column("candidates", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop the columns."""
    op.drop_column("exposures", "candidates")
    op.drop_column("exposures", "segment")
