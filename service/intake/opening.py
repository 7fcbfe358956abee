"""Puts one process's intake together over the event store of a home."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from service.intake.banner_views import BannerViews
from service.intake.exposure_queue import Count, ExposureQueue
from service.intake.log_state import LogState, watch_log
from service.intake.pending import EventWriter
from service.intake.people import People
from service.intake.quick_reads import QuickReads
from service.intake.recents import RecentEvents
from service.intake.writer import StoreWriter
from service.stores.banner_views import BannerViewReader
from service.stores.event_database import (
    open_event_database,
    stop_listening,
    unreachable_since_ms,
)
from service.stores.event_log import EventLog
from service.stores.event_reads import EventReader
from service.stores.events import EventStore
from service.stores.identities import IdentityStore
from service.stores.key_filter import KeyFilter
from service.stores.key_filter_filling import keep_filled
from service.stores.log_wire import SOCKET_VARIABLE
from service.stores.lost_counts import note_lost
from service.stores.opening import open_event_store
from service.stores.remote_events import RemoteEventStore


@dataclass(slots=True)
class Intake:
    """What routes and serving use, and the tasks behind it."""

    events: EventWriter
    exposures: ExposureQueue
    recents: RecentEvents
    people: People
    banner_views: BannerViews
    state: LogState
    _log: EventLog
    _filter: KeyFilter | None
    _writer: StoreWriter
    _poll_s: float
    _watch: Callable[[], Coroutine[None, None, None]]
    _following: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Begin to write, and to follow what other processes write; call it in the event loop."""
        self._writer.start()
        self._following = [
            asyncio.create_task(self._watch(), name="event-log-watch"),
            asyncio.create_task(self.recents.follow(self._poll_s), name="event-tail"),
            asyncio.create_task(self.people.follow(self._poll_s), name="identity-tail"),
            asyncio.create_task(self.banner_views.follow(self._poll_s), name="banner-tail"),
        ]
        if isinstance(self._log, Path) and self._filter is not None:
            filling = keep_filled(self._log, self._filter)
            self._following.append(asyncio.create_task(filling, name="key-filter"))

    async def close(self, timeout_s: float = 10.0) -> bool:
        """Write what waits and close; tell whether all of it got to the disk in time."""
        for task in self._following:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        is_drained = await asyncio.to_thread(self._writer.close, timeout_s)
        self.exposures.close(self._writer.keep_account)
        self.recents.close()
        self.people.close()
        self.banner_views.close()
        if self._filter is not None:
            self._filter.close()
        stop_listening(self._log)
        return is_drained


def open_intake(
    home: Path,
    *,
    address: str | None = None,
    now_ms: Callable[[], int],
    count: Count,
    max_events: int,
    max_exposures: int,
    poll_s: float,
    wait_s: float = 15.0,
    show_log: Callable[[bool], None] = lambda _is_up: None,
    count_unread: Callable[[], None] = lambda: None,
    observe_commit: Callable[[float], None] = lambda _seconds: None,
    count_wait: Callable[[], None] = lambda: None,
) -> Intake:
    """Open or create the event store of `home` and everything that feeds and reads it.

    No request waits for the disk for longer than `wait_s`, and `show_log` hears whether groups get
    there. With the `address` of a database on the network every read of a visitor goes to a thread,
    which a page waits for no longer than its deadline.

    Raises
    ------
    StoreError
        If the store cannot be opened.
    """
    path = open_event_database(home, address)
    bell = threading.Condition()
    events = EventWriter(bell, max_pending=max_events)
    store = _open_store(path, now_ms())
    packs = isinstance(store, RemoteEventStore)
    exposures = ExposureQueue(count=count, max_pending=max_exposures, packs=packs)
    key_filter, recents, people = _open_reads(path, now_ms, count_unread)
    state = LogState(now_ms, unreachable_since_ms=partial(unreachable_since_ms, path))
    writer = StoreWriter(
        store,
        events=events,
        exposures=exposures,
        bell=bell,
        count=count,
        on_commit=recents.add,
        now_ms=now_ms,
        observe_commit=observe_commit,
        count_wait=count_wait,
        note_lost=lambda counts: note_lost(path, counts, now_ms()),
        state=state,
    )
    views = BannerViews(BannerViewReader(path))
    watch = partial(
        watch_log, state, events, wait_s=wait_s, n_exposures=exposures.__len__, show=show_log
    )
    return Intake(
        events, exposures, recents, people, views, state, path, key_filter, writer, poll_s, watch
    )


def _open_reads(
    log: EventLog, now_ms: Callable[[], int], count_unread: Callable[[], None]
) -> tuple[KeyFilter | None, RecentEvents, People]:
    """Open what a page reads of its visitor; beside a file it asks a filter of all keys first."""
    quick = QuickReads() if isinstance(log, Path) else None
    key_filter = KeyFilter(log) if isinstance(log, Path) else None
    recents = RecentEvents(EventReader(log), EventReader(log), quick=quick, key_filter=key_filter)
    people = People(
        IdentityStore(log),
        IdentityStore(log),
        now_ms=now_ms,
        count_unread=count_unread,
        quick=quick,
        key_filter=key_filter,
    )
    return key_filter, recents, people


def _open_store(log: EventLog, opened_ms: int) -> EventStore:
    """Let the log process write where there is one, as under `endcap serve` with a file."""
    address = os.environ.get(SOCKET_VARIABLE)
    if address and isinstance(log, Path):
        return RemoteEventStore(Path(address), opened_ms=opened_ms)
    return open_event_store(log, opened_ms=opened_ms)
