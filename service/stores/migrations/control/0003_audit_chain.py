"""The audit trail is sealed: each row carries a hash over the one before it and itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.stores.audit import FIRST_HASH, AuditEntry, chain_hash

revision = "control_0003"
down_revision = "control_0002"
branch_labels = None
depends_on = None

_NO_UPDATE = (
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END"
)


def upgrade() -> None:
    """Add the columns and seal the rows that are there as they stand."""
    op.add_column("audit", sa.Column("note", sa.Text))
    op.add_column("audit", sa.Column("hash", sa.Text, nullable=False, server_default=""))
    op.create_index("audit_document", "audit", ["kind", "id", "revision"])
    if op.get_bind().dialect.name != "sqlite":
        return  # there was no row before this one elsewhere
    op.execute("DROP TRIGGER audit_no_update")
    connection = op.get_bind()
    rows = connection.exec_driver_sql(
        "SELECT revision, at_ms, actor, kind, id, before, after FROM audit ORDER BY revision"
    ).all()
    previous = FIRST_HASH
    for number, *values in rows:
        previous = chain_hash(previous, number, AuditEntry(*values))
        connection.exec_driver_sql(
            "UPDATE audit SET hash = ? WHERE revision = ?", (previous, number)
        )
    op.execute(_NO_UPDATE)


def downgrade() -> None:
    """Drop the columns."""
    op.drop_index("audit_document", "audit")
    op.drop_column("audit", "hash")
    op.drop_column("audit", "note")
