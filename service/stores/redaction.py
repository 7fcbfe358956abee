"""Takes texts out of the sealed trail and the epochs: the one change that either may see.

The rows from the first altered one on are sealed anew. Whoever redacts adds a row that says so and
holds the hash of before, so that the trail tells that, when and from where it was written again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import sqlalchemy as sa

from service.stores.audit import FIRST_HASH, AuditEntry, audit, chain_hash

_GUARDS = ("audit_no_update", "rollout_epochs_no_update")


class Redacted(NamedTuple):
    """What was altered."""

    n_rows: int
    first_revision: int | None
    """The first altered row of the trail, if any was."""
    hash_before: str
    """The newest hash before."""


class Redaction:
    """Works inside a transaction of the control store."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def replace(self, texts: Collection[str], by: str) -> Redacted:
        """Replace each of these texts, in each row, and seal the trail anew."""
        execute = self._connection.exec_driver_sql
        execute("PRAGMA secure_delete = ON")
        guards = [
            execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).scalar_one()
            for name in _GUARDS
        ]
        for name in _GUARDS:
            execute(f"DROP TRIGGER {name}")
        n_rows, first = 0, None
        for text in texts:
            found = execute(
                "SELECT count(*), min(revision) FROM audit WHERE instr(before, ?1) > 0 "
                "OR instr(after, ?1) > 0 OR instr(note, ?1) > 0",
                (text,),
            ).one()
            if found[0]:
                n_rows += int(found[0])
                first = found[1] if first is None else min(first, found[1])
                execute(
                    "UPDATE audit SET before = replace(before, ?1, ?2), "
                    "after = replace(after, ?1, ?2), note = replace(note, ?1, ?2)",
                    (text, by),
                )
            n_rows += execute(
                "UPDATE rollout_epochs SET body = replace(body, ?1, ?2) WHERE instr(body, ?1) > 0",
                (text, by),
            ).rowcount
        hash_before = self._seal_from(first)
        for guard in guards:
            execute(guard)
        return Redacted(n_rows, first, hash_before)

    def _seal_from(self, first: int | None) -> str:
        """Seal the rows from a revision on, and return the newest hash of before."""
        newest = sa.select(audit.c.hash).order_by(audit.c.revision.desc()).limit(1)
        hash_before = self._connection.scalar(newest) or FIRST_HASH
        if first is None:
            return hash_before
        before = sa.select(audit.c.hash).where(audit.c.revision == first - 1)
        sealed = self._connection.scalar(before) or FIRST_HASH
        rows = self._connection.execute(
            sa.select(audit).where(audit.c.revision >= first).order_by(audit.c.revision)
        ).all()
        for row in rows:
            values = dict(row._mapping)
            values.pop("hash")
            revision = values.pop("revision")
            sealed = chain_hash(sealed, revision, AuditEntry(**values))
            self._connection.execute(
                sa.update(audit).where(audit.c.revision == revision).values(hash=sealed)
            )
        return hash_before
