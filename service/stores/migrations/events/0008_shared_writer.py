"""What the process that writes for several workers has answered last to each of them."""

import sqlalchemy as sa
from alembic import op

revision = "events_0008"
down_revision = "events_0007"
branch_labels = None
depends_on = None

_WHOLE = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
COLUMNS = (("token", sa.Text()), ("last_batch", _WHOLE), ("last_answer", sa.LargeBinary()))


def upgrade() -> None:
    """Add the columns; no row changes."""
    for name, kind in COLUMNS:
        op.add_column("writers", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Drop them."""
    for name, _ in COLUMNS:
        op.drop_column("writers", name)
