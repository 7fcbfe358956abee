"""Deletes old rows and pictures, and archives old days, once a day behind the service.

One process of a home does. The file of the lease holds the day on which it was done last.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping

import structlog

from service.stores.archive_files import check_days
from service.stores.event_log import EventLog
from service.stores.file_lease import FileLease
from service.stores.newer_sums import NewerSumsError, tell_once
from service.stores.pictures import PictureFiles
from service.stores.retention import DAY_MS, PICTURE, expire_rows

LEASE_FILE = "retention.lease"
POLL_S = 60.0

_log = structlog.get_logger(__name__)


class RetentionRunner:
    """One worker's share in it."""

    def __init__(
        self,
        events: EventLog,
        kept_days: Mapping[str, int],
        *,
        archive_days: int = 0,
        now_ms: Callable[[], int],
        pictures: PictureFiles | None = None,
        named_pictures: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """Take note of the settings: 0 archives nothing.

        Raises
        ------
        ConfigError
            If the days are too few to archive after.
        """
        self._archive_days = check_days(archive_days) if archive_days else 0
        self._events = events
        self._kept_days = kept_days
        self._pictures = pictures or PictureFiles(events.parent)
        self._named_pictures = named_pictures
        self._now_ms = now_ms
        self._done = events.with_name(LEASE_FILE)
        self._lease = FileLease(self._done)
        self._stopping = threading.Event()

    def run_once(self) -> dict[str, int] | None:
        """Delete and archive what is too old, unless it was done today or another process does it.

        Raises
        ------
        EndcapError, OSError
            If a file cannot be read or written; it is tried again.
        """
        if not self._has_work or not self._lease.take():
            return None
        now_ms = self._now_ms()
        today = str(now_ms // DAY_MS)
        if self._done.read_text() == today:
            return None
        rows = {kind: days for kind, days in self._kept_days.items() if kind != PICTURE}
        deleted = expire_rows(self._events, rows, now_ms=now_ms, is_stopped=self._stopping.is_set)
        if PICTURE in self._kept_days:
            deleted[PICTURE] = self._expire_pictures(now_ms)
        if self._archive_days:
            self._archive(now_ms)
        if not self._stopping.is_set():
            self._done.write_text(today)
            _log.info("old_rows_deleted", **deleted)
        return deleted

    def _expire_pictures(self, now_ms: int) -> int:
        kept_days = self._kept_days[PICTURE]
        named = self._named_pictures()
        gone = self._pictures.expire(named, kept_days=kept_days, now_ms=now_ms)
        for one in gone:
            _log.info("picture_deleted", hash=one, unnamed_for_days=kept_days)
        return len(gone)

    async def watch(self, poll_s: float = POLL_S) -> None:
        """Run until cancelled; what fails is logged and tried again."""
        while self._has_work:
            await asyncio.sleep(poll_s)
            try:
                await asyncio.to_thread(self.run_once)
            except NewerSumsError as error:
                tell_once(error)
            except Exception:  # a task's loop: the next round may succeed
                _log.exception("old_rows_not_deleted")

    @property
    def _has_work(self) -> bool:
        return bool(self._kept_days or self._archive_days)

    def _archive(self, now_ms: int) -> None:
        from service.stores.archiving import archive_old_days  # noqa: PLC0415  # loads PyArrow

        moved = archive_old_days(
            self._events, self._archive_days, now_ms=now_ms, is_stopped=self._stopping.is_set
        )
        _log.info("old_days_archived", **moved)

    def close(self) -> None:
        """Stop after the rows under way, and let another process go on."""
        self._stopping.set()
        self._lease.give_back()
