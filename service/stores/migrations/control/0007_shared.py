"""What several machines share: the newest revision, which tells of itself, facts, and files.

Only PostgreSQL has these tables; on one machine there is the file's counter, and a folder.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "control_0007"
down_revision = "control_0006"
branch_labels = None
depends_on = None

_FOLLOW = """
CREATE FUNCTION endcap_audit_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE audit_head SET revision = NEW.revision, hash = NEW.hash
    WHERE revision = NEW.revision - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'revision % does not follow', NEW.revision;
    END IF;
    PERFORM pg_notify('endcap_control', NEW.revision::text);
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Make them."""
    if op.get_bind().dialect.name == "sqlite":
        return
    op.create_table(
        "audit_head",
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.execute("CREATE UNIQUE INDEX audit_head_one ON audit_head ((true))")
    op.execute("INSERT INTO audit_head VALUES (0, '')")
    op.execute(_FOLLOW)
    op.execute(
        "CREATE TRIGGER audit_follows AFTER INSERT ON audit "
        "FOR EACH ROW EXECUTE FUNCTION endcap_audit_follows()"
    )
    op.create_table(
        "shared_facts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "shared_files",
        sa.Column("folder", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("n_bytes", sa.BigInteger, nullable=False),
        sa.Column("used_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "shared_pieces",
        sa.Column("folder", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("piece", sa.Integer, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(
            ["folder", "name"], ["shared_files.folder", "shared_files.name"], ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Drop them."""
    if op.get_bind().dialect.name == "sqlite":
        return
    for table in ("shared_pieces", "shared_files", "shared_facts", "audit_head"):
        op.drop_table(table)
    op.execute("DROP TRIGGER audit_follows ON audit")
    op.execute("DROP FUNCTION endcap_audit_follows")
