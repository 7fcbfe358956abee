"""The store of the control plane: documents as JSON, rollout epochs, keys and the audit trail.

A change and its audit row are one transaction. The audit row's number is the revision of what it
changed, so revisions grow across all documents and a deleted document's number never comes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from service.stores.audit import AuditTrail, audit
from service.stores.control_database import ControlDatabase, open_control_database
from service.stores.control_reader import ControlReader
from service.stores.control_rows import StoredDocument, StoredEpoch, StoredKey
from service.stores.layer_slots import LayerSlots, layer_slots
from service.stores.leases import Leases
from service.stores.lift_points import LiftPoints, lift_points
from service.stores.postgres_address import PostgresAddress
from service.stores.redaction import Redaction
from service.stores.service_minutes import ServiceMinutes
from service.stores.shared_facts import SharedFacts

if TYPE_CHECKING:
    from service.stores.shared_files import SharedFiles

metadata = sa.MetaData()
documents = sa.Table(
    "documents",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
)
rollout_epochs = sa.Table(
    "rollout_epochs",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("opened_at_ms", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("revoked_at_ms", sa.BigInteger),
)


class ControlTransaction:
    """Reads and writes that become visible together, or not at all."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.audit = AuditTrail(connection)
        """Who changed what."""
        self.slots = LayerSlots(connection)
        """Who owns which slot of which layer."""
        self.leases = Leases(connection)
        """Who does what only one worker does."""
        self.service_minutes = ServiceMinutes(connection)
        """How quick and how right each worker answered."""
        self.lift_points = LiftPoints(connection)
        """The lift of rollouts as it was known from time to time."""
        self.shared_facts = SharedFacts(connection)
        """What is the same on all machines; nothing where there is one."""
        self.redaction = Redaction(connection)
        """Takes out what a person has a right to have taken out."""

    def all_documents(self) -> list[StoredDocument]:
        """Read all documents of every kind."""
        rows = self._connection.execute(sa.select(documents))
        return [StoredDocument(row.kind, row.id, row.body, row.revision) for row in rows]

    def find_document(self, kind: str, document_id: str) -> StoredDocument | None:
        """Read one document."""
        row = self._connection.execute(
            sa.select(documents).where(documents.c.kind == kind, documents.c.id == document_id)
        ).one_or_none()
        return None if row is None else StoredDocument(row.kind, row.id, row.body, row.revision)

    def list_documents(self, kind: str) -> list[StoredDocument]:
        """Read all documents of a kind, by id."""
        rows = self._connection.execute(sa.select(documents).where(documents.c.kind == kind))
        # Sorted here: a database may sort as its language does.
        return sorted(
            (StoredDocument(row.kind, row.id, row.body, row.revision) for row in rows),
            key=lambda stored: stored.id,
        )

    def write_document(self, document: StoredDocument, at_ms: int) -> None:
        """Insert or replace one document."""
        self._delete(document.kind, document.id)
        self._connection.execute(
            sa.insert(documents).values(
                kind=document.kind,
                id=document.id,
                body=document.body,
                revision=document.revision,
                updated_at_ms=at_ms,
            )
        )

    def delete_document(self, kind: str, document_id: str) -> None:
        """Remove one document; its audit rows and epochs stay."""
        self._delete(kind, document_id)

    def last_epoch(self, key: str) -> int:
        """Return the newest epoch of a rollout, deleted or not; 0 if it never had one."""
        newest = self._connection.scalar(
            sa.select(sa.func.max(rollout_epochs.c.epoch)).where(rollout_epochs.c.key == key)
        )
        return int(newest or 0)

    def list_epochs(self, key: str) -> list[StoredEpoch]:
        """Read every epoch of a rollout, oldest first; a deleted one's stay."""
        rows = self._connection.execute(
            sa.select(rollout_epochs)
            .where(rollout_epochs.c.key == key)
            .order_by(rollout_epochs.c.epoch)
        )
        return [StoredEpoch(row.epoch, row.opened_at_ms, row.body) for row in rows]

    def append_epoch(self, key: str, epoch: int, revision: int, at_ms: int, body: str) -> None:
        """Record that an epoch began with this state of the rollout."""
        self._connection.execute(
            sa.insert(rollout_epochs).values(
                key=key, epoch=epoch, revision=revision, opened_at_ms=at_ms, body=body
            )
        )

    def list_keys(self) -> list[StoredKey]:
        """Read all keys, revoked ones too, oldest first."""
        rows = self._connection.execute(sa.select(keys).order_by(keys.c.created_at_ms, keys.c.id))
        return [StoredKey(**row._mapping) for row in rows]

    def write_key(self, key: StoredKey) -> None:
        """Add a key."""
        self._connection.execute(
            sa.insert(keys).values(
                id=key.id,
                name=key.name,
                scope=key.scope,
                digest=key.digest,
                created_at_ms=key.created_at_ms,
                revoked_at_ms=key.revoked_at_ms,
            )
        )

    def revoke_key(self, key_id: str, at_ms: int) -> None:
        """Mark a key as revoked."""
        self._connection.execute(
            sa.update(keys).where(keys.c.id == key_id).values(revoked_at_ms=at_ms)
        )

    def copy_rows(self, other: ControlTransaction) -> dict[str, int]:
        """Copy all that lasts out of another store into this one, which is empty; count rows."""
        counts = {}
        # The trail goes first, for the others lean on it.
        for table in (audit, documents, rollout_epochs, keys, layer_slots, lift_points):
            rows = other._connection.execute(sa.select(table).order_by(*table.primary_key))
            counts[table.name] = 0
            for block in rows.partitions(1_000):
                self._connection.execute(sa.insert(table), [dict(row._mapping) for row in block])
                counts[table.name] += len(block)
        return counts

    def give_up(self) -> None:
        """Undo everything that was written in this transaction; nothing may follow in it."""
        self._connection.rollback()

    def _delete(self, kind: str, document_id: str) -> None:
        self._connection.execute(
            sa.delete(documents).where(documents.c.kind == kind, documents.c.id == document_id)
        )


class ControlStore:
    """The one writer's side of the control plane; every process may open its own."""

    def __init__(self, place: Path | PostgresAddress) -> None:
        self.place = place
        self._database: ControlDatabase = open_control_database(place)

    @contextmanager
    def transaction(self) -> Iterator[ControlTransaction]:
        """Hold the write lock; commit at the end, roll back on any error."""
        with self._database.reported(), self._database.engine.begin() as connection:
            yield ControlTransaction(connection)

    def open_reader(self) -> ControlReader:
        """Open what a worker follows changes with."""
        return self._database.open_reader()

    def drop_old_rows(self) -> None:
        """Drop what the database keeps of rows that were replaced."""
        self._database.drop_old_rows()

    @property
    def is_shared(self) -> bool:
        """Whether other machines may change it too."""
        return not isinstance(self.place, Path)

    @property
    def shared_files(self) -> SharedFiles | None:
        """Files that all machines share; none where there is one machine, and its folder."""
        if isinstance(self.place, Path):
            return None
        from service.stores.shared_files import SharedFiles  # noqa: PLC0415  # an extra

        return SharedFiles(self.place)

    def close(self) -> None:
        """Close every connection."""
        self._database.engine.dispose()
