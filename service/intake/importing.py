"""Stores the events of a file beside a running server, and accounts for every row.

Each commit carries the counts of its own rows, so the ledger balances wherever an import ends, and
an import that is run again goes on where the last one stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from models.durable import replace_file
from models.errors import CapacityError, StoreError
from models.past import ReadPast, RefusedRow, next_steps
from models.pseudonym import Pseudonymiser
from service.intake.identify import FUTURE_MS
from service.intake.past import store_lines, store_past
from service.stores.archive_files import archive_lock
from service.stores.archived_ids import ArchivedIds
from service.stores.event_log import EventLog
from service.stores.events import Batch, EventStore, StoredEvent
from service.stores.opening import open_event_store

REJECTS_FILE = "rejects-import.jsonl"
ROWS_A_COMMIT = 2_000
_BUSY_TIMEOUT_MS = 30_000
_LINES = (".jsonl", ".ndjson", ".json")
_PACKED = (".gz", ".zst")


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows of a file: ``received = accepted + duplicate + rejected``."""

    file: str
    received: int
    accepted: int
    duplicate: int
    rejected: int
    dropped: dict[str, int]
    """Rows that a rule of the mapping leaves out, by rule; they are not among the received."""
    rejects_file: str | None
    """Where each rejected row is named with its reason."""
    next_steps: list[str]
    """What to do about rejected rows, where their reasons do not say it."""


@dataclass(frozen=True, slots=True)
class ImportTools:
    """What an import is given: a clock, breath between two commits, and who hears how far it is."""

    now_ms: Callable[[], int]
    rest: Callable[[float], None] = time.sleep
    monotonic_s: Callable[[], float] = time.monotonic
    tell: Callable[[int], None] = lambda _n_rows: None


def import_events(
    home: Path,
    path: EventLog,
    source: str,
    mapping: Path | None,
    *,
    read_past: ReadPast,
    pseudonymiser: Pseudonymiser,
    tools: ImportTools,
) -> Imported:
    """Store the events of the file `source` in the event store `path` of `home`.

    JSON Lines are events as the service takes them; any other file, or any with a mapping, has the
    trainer's columns.

    Raises
    ------
    InputError, ConfigError
        If the file cannot be read or the mapping does not fit it.
    StoreError
        If the store refuses; what was stored before is a duplicate the next time.
    """
    received_ms = tools.now_ms()
    dropped: dict[str, int] = {}
    if mapping is None and _has_lines(source):
        rows = store_lines(Path(source), pseudonymiser, received_ms)
    else:
        past = read_past(source, mapping, received_ms + FUTURE_MS)
        dropped = past.dropped
        rows = store_past(past.rows, pseudonymiser, received_ms)
    store = open_event_store(path, opened_ms=received_ms, busy_timeout_ms=_BUSY_TIMEOUT_MS)
    refused: list[RefusedRow] = []
    try:
        counts = _store(store, path, rows, refused, tools)
    except (CapacityError, StoreError) as error:
        raise StoreError(
            f"the import into {path} stopped: {error}; run the import again, what is "
            "stored by then counts as duplicate"
        ) from error
    finally:
        # A writer that could not say so is counted as one that was killed.
        with suppress(CapacityError, StoreError):
            store.close(tools.now_ms())
    rejects = home / REJECTS_FILE
    replace_file(rejects, b"".join(msgspec.json.encode(row._asdict()) + b"\n" for row in refused))
    return Imported(
        file=source,
        received=counts["received"],
        accepted=counts["accepted"],
        duplicate=counts["duplicate"],
        rejected=counts["rejected"],
        dropped=dropped,
        rejects_file=str(rejects) if refused else None,
        next_steps=next_steps({row.reason for row in refused}),
    )


def _has_lines(source: str) -> bool:
    suffixes = [suffix for suffix in Path(source).suffixes if suffix not in _PACKED]
    return bool(suffixes) and suffixes[-1].lower() in _LINES


def _store(
    store: EventStore,
    path: EventLog,
    rows: Iterable[StoredEvent | RefusedRow],
    refused: list[RefusedRow],
    tools: ImportTools,
) -> Mapping[str, int]:
    counts = dict.fromkeys(("received", "accepted", "duplicate", "rejected"), 0)
    waiting = iter(rows)
    archived = ArchivedIds(path)
    while batch := list(islice(waiting, ROWS_A_COMMIT)):
        events = [row for row in batch if isinstance(row, StoredEvent)]
        refused += [row for row in batch if isinstance(row, RefusedRow)]
        n_rejected = len(batch) - len(events)
        begin_s = tools.monotonic_s()
        # Under the lock no row is on its way from the store to the archive.
        with archive_lock(path):
            known = archived.known_of([event.event_id for event in events])
            n_known = sum(event.event_id in known for event in events)
            done = store.commit(
                Batch(
                    events=[event for event in events if event.event_id not in known],
                    counts={
                        "received": len(batch),
                        "rejected": n_rejected,
                        "duplicate": n_known,
                    },
                )
            )
        n_accepted = len(done.added)
        counts["received"] += len(batch)
        counts["accepted"] += n_accepted
        counts["duplicate"] += len(events) - n_accepted
        counts["rejected"] += n_rejected
        tools.tell(counts["received"])
        # A server that writes beside it gets the lock in at least half of the time.
        tools.rest(tools.monotonic_s() - begin_s)
    return counts
