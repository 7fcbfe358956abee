"""Puts one process's intake together over the event store of a home."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.intake.pending import Count, EventWriter, ExposureQueue
from service.intake.recents import RecentEvents
from service.intake.writer import StoreWriter
from service.stores.event_database import open_event_database
from service.stores.event_reads import EventReader
from service.stores.events import EventStore


@dataclass(slots=True)
class Intake:
    """What routes and serving use, and the tasks behind it."""

    events: EventWriter
    exposures: ExposureQueue
    recents: RecentEvents
    _writer: StoreWriter
    _poll_s: float
    _following: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write, and to follow what other processes write; call it in the event loop."""
        self._writer.start()
        self._following = asyncio.create_task(self.recents.follow(self._poll_s), name="event-tail")

    async def close(self, timeout_s: float = 10.0) -> bool:
        """Write what waits and close; tell whether all of it got to the disk in time."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        is_drained = await asyncio.to_thread(self._writer.close, timeout_s)
        self.recents.close()
        return is_drained


def open_intake(
    home: Path,
    *,
    now_ms: Callable[[], int],
    count: Count,
    max_events: int,
    max_exposures: int,
    poll_s: float,
) -> Intake:
    """Open or create the event store of `home` and everything that feeds and reads it.

    Raises
    ------
    StoreError
        If the store cannot be opened.
    """
    path = open_event_database(home)
    bell = threading.Condition()
    events = EventWriter(bell, max_pending=max_events)
    exposures = ExposureQueue(bell, count=count, max_pending=max_exposures)
    recents = RecentEvents(EventReader(path), EventReader(path))
    writer = StoreWriter(
        EventStore(path, opened_ms=now_ms()),
        events=events,
        exposures=exposures,
        bell=bell,
        count=count,
        on_commit=recents.add,
        now_ms=now_ms,
    )
    return Intake(events, exposures, recents, writer, poll_s)
