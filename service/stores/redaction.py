"""Takes texts out of the sealed trail and the epochs: the one change that either may see.

The rows from the first altered one on are sealed anew. Whoever redacts adds a row that says so and
holds the hash of before, so that the trail tells that, when and from where it was written again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa

from service.stores.audit import FIRST_HASH, AuditEntry, audit, chain_hash
from service.stores.many_texts import ManyTexts

_BLOCK_ROWS = 500
_GUARDS = {"audit": "audit_no_update", "rollout_epochs": "rollout_epochs_no_update"}
_epochs = sa.table("rollout_epochs", sa.column("body", sa.Text))


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
        with self._unguarded():
            n_rows, first = 0, None
            for text in self._standing(texts):
                n_altered, first_altered = self._replace_in_trail(text, by)
                if first_altered is not None:
                    first = first_altered if first is None else min(first, first_altered)
                n_rows += n_altered + self._replace_in_epochs(text, by)
            return Redacted(n_rows, first, self._seal_from(first))

    def _standing(self, texts: Collection[str]) -> list[str]:
        """Return those of the texts that stand anywhere, which are few of many."""
        wanted = ManyTexts([text.encode() for text in texts])
        columns = (audit.c.before, audit.c.after, audit.c.note, _epochs.c.body)
        found: set[bytes] = set()
        for column in columns:
            query = sa.select(column).execution_options(yield_per=_BLOCK_ROWS)
            for block in self._connection.execute(query).partitions():
                found |= wanted.found_in("\0".join(text or "" for (text,) in block).encode())
        return sorted(text.decode() for text in found)

    def _replace_in_trail(self, text: str, by: str) -> tuple[int, int | None]:
        columns = (audit.c.before, audit.c.after, audit.c.note)
        holds = sa.or_(*(self._holds(column, text) for column in columns))
        n_rows, first = self._connection.execute(
            sa.select(sa.func.count(), sa.func.min(audit.c.revision)).where(holds)
        ).one()
        if n_rows:
            self._connection.execute(
                sa.update(audit)
                .where(holds)
                .values({column.name: sa.func.replace(column, text, by) for column in columns})
            )
        return int(n_rows), first

    def _replace_in_epochs(self, text: str, by: str) -> int:
        done = self._connection.execute(
            sa.update(_epochs)
            .where(self._holds(_epochs.c.body, text))
            .values(body=sa.func.replace(_epochs.c.body, text, by))
        )
        return int(done.rowcount)

    def _holds(
        self, column: sa.ColumnClause[Any] | sa.Column[Any], text: str
    ) -> sa.ColumnElement[bool]:
        find = sa.func.instr if self._is_sqlite else sa.func.strpos
        return find(column, text) > 0

    @property
    def _is_sqlite(self) -> bool:
        return self._connection.dialect.name == "sqlite"

    @contextmanager
    def _unguarded(self) -> Iterator[None]:
        """Lift the triggers that keep the trail as it is."""
        execute = self._connection.exec_driver_sql
        if not self._is_sqlite:
            for table, name in _GUARDS.items():
                execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
            yield
            for table, name in _GUARDS.items():
                execute(f"ALTER TABLE {table} ENABLE TRIGGER {name}")
            return
        execute("PRAGMA secure_delete = ON")
        guards = [
            execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).scalar_one()
            for name in _GUARDS.values()
        ]
        for name in _GUARDS.values():
            execute(f"DROP TRIGGER {name}")
        yield
        for guard in guards:
            execute(guard)

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
