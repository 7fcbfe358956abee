"""Where old days of the log lie as Parquet, and the lock of those who move, erase or expire rows.

``archive/events/day=2026-01-31/rows.parquet`` has all columns of the events that arrived on that
UTC day; exposures lie beside by the day on which they were made.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from models.errors import ConfigError
from service.stores.attribution import DEFAULT_DAYS
from service.stores.event_database import reported
from service.stores.event_log import EventLog, PostgresLog

ARCHIVE_FOLDER = "archive"
LOCK_FILE = "archive.lock"
TURN_FILE = "archive.turn"
"""Held by whoever has or wants the lock, so that long work can tell."""
DAY_MS = 86_400_000

ArchivedTable = Literal["events", "exposures"]

CLOCKS: dict[ArchivedTable, str] = {"events": "received_ms", "exposures": "at_ms"}
"""Every table that is archived, and the column that says on which day a row lies."""

_ROWS = "rows.parquet"
_FIRST = date(1970, 1, 1)


def check_days(days: int, attribution_days: int = DEFAULT_DAYS) -> int:
    """Return days after which the log is archived: more than a click is put down to an exposure.

    Raises
    ------
    ConfigError
        If they are too few.
    """
    if days <= attribution_days:
        raise ConfigError(
            f"{days} days are too few to archive after: clicks are put down to exposures of the "
            f"last {attribution_days} days; give {attribution_days + 1} or more"
        )
    return days


def day_file(events: EventLog, table: ArchivedTable, day: int) -> Path:
    """Name the file of a day, counted from 1970, beside the event store `events`."""
    name = f"day={_FIRST + timedelta(days=day)}"
    return events.with_name(ARCHIVE_FOLDER) / table / name / _ROWS


def day_of(file: Path) -> int:
    """Tell the day of a file that `day_file` named."""
    return (date.fromisoformat(file.parent.name.removeprefix("day=")) - _FIRST).days


def stamp_of(file: Path) -> tuple[int, int]:
    """Return what is another once a file has changed.

    Raises
    ------
    StoreError
        If it cannot be looked at.
    """
    with reported(file):
        found = file.stat()
    return found.st_ino, found.st_mtime_ns


def day_files(events: EventLog, table: ArchivedTable) -> list[Path]:
    """List the files that are there, oldest day first; a database on the network has none."""
    if isinstance(events, PostgresLog):
        return []
    return sorted((events.with_name(ARCHIVE_FOLDER) / table).glob(f"day=*/{_ROWS}"))


def has_archive(events: EventLog) -> bool:
    """Say whether a file is there; who asks first need not load PyArrow for nothing."""
    return any(day_files(events, table) for table in CLOCKS)


def drop_drafts(events: EventLog) -> None:
    """Delete what a process left half written; call it under the lock."""
    for draft in events.with_name(ARCHIVE_FOLDER).glob("*/day=*/*.part"):
        draft.unlink(missing_ok=True)


@contextmanager
def archive_lock(events: EventLog) -> Iterator[None]:
    """Wait until nobody else moves rows or alters files; it does not nest.

    Raises
    ------
    StoreError
        If the file of the lock cannot be made.
    """
    turn, path = events.with_name(TURN_FILE), events.with_name(LOCK_FILE)
    with _locked(turn, fcntl.LOCK_SH), _locked(path, fcntl.LOCK_EX):
        yield


@contextmanager
def archive_turn(events: EventLog) -> Iterator[None]:
    """Have the lock for one piece of long work, when nobody else wants it; as `archive_lock`."""
    with _locked(events.with_name(TURN_FILE), fcntl.LOCK_EX):
        pass
    with _locked(events.with_name(LOCK_FILE), fcntl.LOCK_EX):
        yield


def is_archive_awaited(events: EventLog) -> bool:
    """Tell who has a turn whether somebody waits for the lock."""
    with events.with_name(TURN_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    with reported(path):
        file = path.open("a")
    with file:
        fcntl.flock(file, how)
        yield
