"""The audit trail: who changed what, when, from what, to what. Each row seals the rows before it.

A row's hash is taken over the hash before it and the row itself, so a row that is altered, taken
out or put in breaks the chain from there on. Whoever keeps one newest hash elsewhere can prove that
nothing up to it was written anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import msgspec
import sqlalchemy as sa

metadata = sa.MetaData()
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("hash", sa.Text, nullable=False),
)

FIRST_HASH = ""
"""Stands for the hash before the first row."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who changed what, when, from what, to what; `before` and `after` are JSON or absent."""

    at_ms: int
    actor: str
    kind: str
    id: str
    before: str | None
    after: str | None
    note: str | None = None
    """Why, if the change itself does not say."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry in its place in the trail."""

    revision: int
    entry: AuditEntry
    hash: str


def chain_hash(previous: str, revision: int, entry: AuditEntry) -> str:
    """Seal an entry: SHA-256, in hexadecimal, over a JSON array in UTF-8 without spaces.

    The array is ``[previous hash, revision, at_ms, actor, kind, id, before, after, note]``.
    """
    sealed = (
        previous,
        revision,
        entry.at_ms,
        entry.actor,
        entry.kind,
        entry.id,
        entry.before,
        entry.after,
        entry.note,
    )
    return sha256(msgspec.json.encode(sealed)).hexdigest()


class AuditTrail:
    """Reads and appends inside a transaction of the control store."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def append(self, entry: AuditEntry) -> int:
        """Record a change and return its revision; the caller holds the write lock."""
        last = self._connection.execute(
            sa.select(audit.c.revision, audit.c.hash).order_by(audit.c.revision.desc()).limit(1)
        ).one_or_none()
        revision, previous = (1, FIRST_HASH) if last is None else (last.revision + 1, last.hash)
        self._connection.execute(
            sa.insert(audit).values(
                revision=revision,
                at_ms=entry.at_ms,
                actor=entry.actor,
                kind=entry.kind,
                id=entry.id,
                before=entry.before,
                after=entry.after,
                note=entry.note,
                hash=chain_hash(previous, revision, entry),
            )
        )
        return revision

    def page(
        self, *, before: int | None, limit: int, kind: str | None = None, id_: str | None = None
    ) -> list[AuditRow]:
        """Read rows with revisions below `before`, newest first; of one kind or id, if given."""
        query = sa.select(audit).order_by(audit.c.revision.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.revision < before)
        if kind is not None:
            query = query.where(audit.c.kind == kind)
        if id_ is not None:
            query = query.where(audit.c.id == id_)
        return [_row(row) for row in self._connection.execute(query)]

    def all_rows(self) -> Iterator[AuditRow]:
        """Read the whole trail, oldest first, without holding it in memory."""
        rows = self._connection.execution_options(yield_per=1000).execute(
            sa.select(audit).order_by(audit.c.revision)
        )
        return (_row(row) for row in rows)

    def last_revision_given(self) -> int:
        """Return the newest revision ever committed, also if its row is gone; 0 without one."""
        given = self._connection.exec_driver_sql(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'audit'"
            if self._connection.dialect.name == "sqlite"
            else "SELECT revision FROM audit_head"
        )
        return int(given.scalar_one())


def _row(row: sa.Row[tuple[object, ...]]) -> AuditRow:
    values = dict(row._mapping)
    return AuditRow(values.pop("revision"), hash=values.pop("hash"), entry=AuditEntry(**values))
