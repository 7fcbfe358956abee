"""A control plane on a temporary file, with a fixed pseudonym key and a clock that ticks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from models.pseudonym import Pseudonymiser
from service.control.consent import NO_CONSENT, Consent
from service.control.current import CurrentConfiguration
from service.control.documents import Document, DocumentKind
from service.control.plane import ControlPlane
from service.control.precondition import Precondition
from service.control.writing import Change
from service.stores.control import ControlStore
from service.stores.postgres_address import PostgresAddress
from service.stores.segment_files import SegmentFiles

PSEUDONYMISER = Pseudonymiser(b"k" * 32)


def run_sql(place: Path | PostgresAddress, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements past the program, as somebody who has the database; return the last's rows."""
    connection: Any = (
        sqlite3.connect(place) if isinstance(place, Path) else psycopg.connect(place.url)
    )
    rows: list[tuple[Any, ...]] = []
    with closing(connection), connection:
        for statement in statements:
            cursor = connection.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
    return rows


class Worker:
    """What one worker process holds of the control plane."""

    def __init__(self, home: Path, place: Path | PostgresAddress | None = None) -> None:
        ticks: Iterator[int] = count(1_000)
        self.store = ControlStore(place or home / "control.sqlite")
        self.reader = self.store.open_reader()
        self.segment_files = SegmentFiles(home, self.store.shared_files)
        self.current = CurrentConfiguration(self.reader, segment_files=self.segment_files)
        self.plane = ControlPlane(self.store, self.current, PSEUDONYMISER, lambda: next(ticks))

    def put(self, kind: DocumentKind, document_id: str, document: Document, **expected: Any) -> Any:
        """Put a document as the actor `tester`."""
        change = Change(kind, document_id, "tester", Precondition(**expected))
        return self.plane.put(change, document)

    def patch(
        self,
        kind: DocumentKind,
        document_id: str,
        patch: dict[str, Any],
        consent: Consent = NO_CONSENT,
        **expected: Any,
    ) -> Any:
        """Patch a document as the actor `tester`."""
        change = Change(kind, document_id, "tester", Precondition(**expected), consent)
        return self.plane.patch(change, patch)

    def undo(
        self, kind: DocumentKind, document_id: str, revision: int, consent: Consent = NO_CONSENT
    ) -> Any:
        """Take a document back as the actor `tester`."""
        change = Change(kind, document_id, "tester", Precondition(), consent)
        return self.plane.undo(change, revision)

    def delete(self, kind: DocumentKind, document_id: str) -> None:
        """Delete a document as the actor `tester`."""
        self.plane.delete(Change(kind, document_id, "tester", Precondition()))

    def close(self) -> None:
        """Close what is open."""
        self.reader.close()
        self.store.close()
