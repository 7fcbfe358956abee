"""Rewrites the files of the event store, so that nothing deleted is left in their bytes.

SQLite overwrites what it deletes, but not the copies of a row that moving it within a page, or a
process that was killed, left where no row stands.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from models.errors import ConfigError, StoreError
from service.stores.archive_files import archive_lock
from service.stores.event_database import connect_file, derived_file, fold_log
from service.stores.event_log import BANNERS, EVENTS_FILE, ROLLUP, EventLog
from service.stores.sqlite import reported

_LOCKED_MS = 60_000
"""How long a file may be locked by others before it is given up."""
_FOLDS = 12
"""Tries of some seconds each, in which whoever reads has to end once."""
_FOLDING_MS = 500
_SPARE_BYTES = 16_000_000


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was written anew."""

    file: str
    before_bytes: int
    after_bytes: int
    seconds: float


def compactable_files(home: Path) -> list[str]:
    """Name the files of a home that `compact` rewrites."""
    return [path.name for path in _files(home / EVENTS_FILE) if path.exists()]


def compact(events: EventLog, *, tell: Callable[[str], None] = lambda _: None) -> list[Compacted]:
    """Rewrite events and the sums made of them, one file after the other; a server may run.

    Pages are answered meanwhile; events wait while their file is written, an erasure for all of it.

    Raises
    ------
    ConfigError
        If the events are in a database server.
    StoreError
        If there is no room, a file stays locked, or somebody reads it all the time. What is stored
        is as it was.
    """
    if not isinstance(events, Path):
        raise ConfigError(
            "the events are in PostgreSQL, which compacts them itself: have its owner run VACUUM "
            "FULL on the schemas log, rollup and banners, where old rows may not wait for "
            "autovacuum"
        )
    with archive_lock(events):
        return [_rewrite(path, tell) for path in _files(events) if path.exists()]


def _files(events: Path) -> list[Path]:
    return [events, *(derived_file(events, name) for name in (ROLLUP, BANNERS))]


def _rewrite(path: Path, tell: Callable[[str], None]) -> Compacted:
    begin_s = time.monotonic()
    before = path.stat().st_size
    _check_room(path, before)
    tell(f"{path.name}, {before / 1e6:,.0f} MB")
    with reported(path), closing(connect_file(path, busy_timeout_ms=_LOCKED_MS)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("VACUUM")
        # While the log is folded nobody can write: rather in many short tries than in a long one.
        connection.execute(f"PRAGMA busy_timeout = {_FOLDING_MS}")
        if not any(fold_log(connection) for _ in range(_FOLDS)):
            raise StoreError(
                f"{path.name} is written anew, but a program that reads it for minutes keeps its "
                "old pages; end that program, such as a backup, and run this again"
            )
    return Compacted(
        file=path.name,
        before_bytes=before,
        after_bytes=path.stat().st_size,
        seconds=round(time.monotonic() - begin_s, 1),
    )


def _check_room(path: Path, n_bytes: int) -> None:
    """Refuse what would fill the disk: the new file stands in the log before it replaces the old.

    SQLite writes it to the folder of temporary files first.
    """
    needed: dict[int, int] = {}
    folders = {}
    for folder in (path.parent, Path(tempfile.gettempdir())):
        device = folder.stat().st_dev
        folders[device] = folder
        needed[device] = needed.get(device, _SPARE_BYTES) + n_bytes
    for device, folder in folders.items():
        free = shutil.disk_usage(folder).free
        if free < needed[device]:
            raise StoreError(
                f"to write {path.name} anew takes {needed[device] / 1e6:,.0f} MB in {folder} for a "
                f"while, and {free / 1e6:,.0f} MB are free; make room and run this again"
            )
