"""The hot read of the control plane: has anything changed, and what? Each worker asks with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from service.stores.control_rows import StoredDocument, StoredKey


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed after a revision."""

    newest: int
    """The newest revision of all."""
    latest: dict[str, int]
    """The newest revision by kind of document, of the kinds that have changed."""
    written: list[StoredDocument]
    deleted: list[tuple[str, str]]
    """Kind and id."""
    keys: list[StoredKey]
    """All keys, changed or not."""


class ControlReader(Protocol):
    """Reads for one worker; threads wait for each other."""

    @property
    def listen(self) -> Callable[[], None] | None:
        """What waits until the store tells of a change, or a moment; without it, poll."""

    def data_version(self) -> int | str:
        """Return what differs after any change that another connection has committed."""

    def follows(self, revision: int) -> bool:
        """Say whether the store still goes on from a revision that this reader has read.

        It does not after somebody brought back a backup, or a standby took over that lagged.
        """

    def changes_since(self, revision: int) -> Changes:
        """Read everything that has changed after a revision, in one state of the store."""

    def close(self) -> None:
        """Close; reads that come later are refused."""


Run = Callable[[str, tuple[int, ...]], Sequence[Any]]
"""Runs a statement with `?` for its parameters and returns the rows."""


def read_changes(run: Run, revision: int) -> Changes:
    """Read what has changed, inside a transaction of the caller."""
    newest = run("SELECT coalesce(max(revision), 0) FROM audit", ())[0][0]
    written = run("SELECT kind, id, body, revision FROM documents WHERE revision > ?", (revision,))
    deleted = run(
        "SELECT DISTINCT kind, id FROM audit WHERE revision > ? AND after IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM documents d "
        "WHERE d.kind = audit.kind AND d.id = audit.id)",
        (revision,),
    )
    keys = run("SELECT id, name, scope, digest, created_at_ms, revoked_at_ms FROM keys", ())
    latest = run(
        "SELECT kind, max(revision) FROM audit WHERE revision > ? GROUP BY kind", (revision,)
    )
    return Changes(
        newest=int(newest),
        latest=dict(latest),
        written=[StoredDocument(*row) for row in written],
        deleted=[(kind, document_id) for kind, document_id in deleted],
        keys=[StoredKey(*row) for row in keys],
    )
