"""A control plane on a temporary file, with a fixed pseudonym key and a clock that ticks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from models.pseudonym import Pseudonymiser
from service.control.consent import NO_CONSENT, Consent
from service.control.current import CurrentConfiguration
from service.control.documents import Document, DocumentKind
from service.control.plane import ControlPlane
from service.control.precondition import Precondition
from service.control.writing import Change
from service.stores.control import ControlStore
from service.stores.control_reader import ControlReader
from service.stores.segment_files import SegmentFiles

PSEUDONYMISER = Pseudonymiser(b"k" * 32)


class Worker:
    """What one worker process holds of the control plane."""

    def __init__(self, home: Path) -> None:
        ticks: Iterator[int] = count(1_000)
        self.store = ControlStore(home / "control.sqlite")
        self.reader = ControlReader(self.store.path)
        self.segment_files = SegmentFiles(home)
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
