"""What each visitor did last, for serving: a bounded cache over the store that follows its commits.

The process that accepted an event adds it before it answers; `follow` brings in what other
processes accepted. Everything here runs in the event loop, except the reads of `read` and of the
log's tail.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import structlog

from models.events import InteractionKind
from service.intake.interactions import MAX_RECENT, Interactions, RecentEvent
from service.intake.quick_reads import QuickReads
from service.stores.event_reads import EventReader, InteractionRow, KeyColumn, KeyedRow
from service.stores.events import NumberedEvent
from service.stores.key_filter import KeyFilter

AFTER_FAILURE_S = 1.0
"""How long a follower waits when the store could not be read."""
MAX_TOLD = 32
"""Shoppers of one commit: it may be of a whole file, and each costs 0.1 ms."""
_TAIL_ROWS = 5_000

ShopperKeys = tuple[str | None, str | None]

_NOTHING = Interactions()
"""Of whoever did nothing: no others are kept that are empty."""

_log = structlog.get_logger(__name__)


class _Batch:
    """Keys that are read together, and the future of all who asked for one of them."""

    def __init__(self, read: asyncio.Future[None]) -> None:
        self.read = read
        self.keys: dict[KeyColumn, list[str]] = {"user_key": [], "anonymous_key": []}


class RecentEvents:
    """The newest interactions by pseudonym."""

    def __init__(
        self,
        points: EventReader,
        tail: EventReader,
        *,
        max_cached: int = 100_000,
        quick: QuickReads | None = None,
        key_filter: KeyFilter | None = None,
    ) -> None:
        """Read misses from `points` and other processes' events from `tail`.

        `max_cached` bounds events and keys together; the longest unused key goes first. Without
        `quick` every read for serving goes to a thread. A key that is not in `key_filter` is
        neither read nor kept. An event takes 30 bytes and a key 400: 100,000 events of 3,000
        visitors 4 MB.
        """
        self._quick = quick
        self._filter = key_filter
        self._points = points
        self._tail = tail
        self._max_cached = max_cached
        self._n_cached = 0
        self._entries: OrderedDict[str, Interactions] = OrderedDict()
        self._fetching: dict[str, asyncio.Future[None]] = {}
        self._waiting: _Batch | None = None
        self._reading: asyncio.Task[None] | None = None
        self._arrived: dict[str, list[KeyedRow]] = {}
        self._thread = ThreadPoolExecutor(1, "recent-events")
        self.tell: Callable[[str | None, str | None], None] | None = None
        """Hears a moment later of each shopper who has just acted, by user and anonymous key."""
        self._seen_seq = tail.last_seq()
        self._seen_version = tail.data_version()

    def get(self, user_key: str | None, anonymous_key: str | None) -> Sequence[RecentEvent]:
        """Return what is known under either key, oldest first, the newest 100."""
        mine = _NOTHING if user_key is None else self._load("user_key", user_key)
        visit = _NOTHING if anonymous_key is None else self._load("anonymous_key", anonymous_key)
        return _merged(mine, visit)

    def cached(
        self, user_key: str | None, anonymous_key: str | None
    ) -> Sequence[RecentEvent] | None:
        """Return what `get` would, if that needs no reading, or a quick one; else nothing."""
        mine = _NOTHING if user_key is None else self._held(user_key)
        visit = _NOTHING if anonymous_key is None else self._held(anonymous_key)
        if mine is None or visit is None:
            return self._read_quickly(user_key, anonymous_key)
        return _merged(mine, visit)

    async def read(self, user_key: str | None, anonymous_key: str | None) -> Sequence[RecentEvent]:
        """Return what `get` would, but read in a thread; a caller that gives up stops no read."""
        wanted: tuple[tuple[KeyColumn, str | None], ...] = (
            ("user_key", user_key),
            ("anonymous_key", anonymous_key),
        )
        reads = {
            self._fetch(column, key)
            for column, key in wanted
            if key is not None and self._held(key) is None
        }
        for read in reads:
            await asyncio.shield(read)
        return self.get(user_key, anonymous_key)

    def add(self, events: Sequence[NumberedEvent]) -> None:
        """Take in what this process has just committed."""
        acted: dict[ShopperKeys, None] = {}
        for seq, event in events:
            if event.item_id is None or event.kind > InteractionKind.REFUND:
                continue
            at_ms = min(event.at_ms, event.received_ms)
            self._add(
                KeyedRow(seq, event.kind, event.item_id, at_ms, event.user_key, event.anonymous_key)
            )
            acted[event.user_key, event.anonymous_key] = None
        if events and events[0].seq == self._seen_seq + 1:
            self._seen_seq = events[-1].seq
        if acted and self.tell is not None:  # not before those who wait have their answers
            self._tell_soon(deque(islice(acted, MAX_TOLD)))

    def _tell_soon(self, acted: deque[ShopperKeys]) -> None:
        """Tell of one after the other, so that pages which come meanwhile go between them."""

        def tell_next() -> None:
            if self.tell is not None:
                self.tell(*acted.popleft())
            if acted:
                loop.call_soon(tell_next)

        loop = asyncio.get_running_loop()
        loop.call_soon(tell_next)

    async def catch_up(self) -> None:
        """Take in what other processes committed since the last call."""
        version = self._tail.data_version()
        if version == self._seen_version:
            return
        # Most commits are of exposures, and a hop to a thread costs the pages more than this look.
        while not self._tail.is_near or self._tail.last_seq() > self._seen_seq:
            rows, last = await asyncio.to_thread(self._tail.since, self._seen_seq, _TAIL_ROWS)
            for row in rows:
                self._add(row)
            if last <= self._seen_seq:
                break
            self._seen_seq = last
        self._seen_version = version

    async def follow(self, poll_s: float) -> None:
        """Catch up every `poll_s` until cancelled."""
        while True:
            try:
                await self.catch_up()
            except Exception:  # a task's loop: the next round may succeed
                _log.exception("event_tail_not_read")
                # A server that is away is not asked, and told of, ten times a second.
                await asyncio.sleep(AFTER_FAILURE_S)
            await asyncio.sleep(poll_s)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop what is kept of these pseudonyms."""
        for key in keys:
            gone = self._entries.pop(key, None)
            self._n_cached -= 0 if gone is None else 1 + len(gone)

    def forget_all(self) -> None:
        """Drop everything; the next request of each visitor reads the store."""
        self.forget(list(self._entries))

    def close(self) -> None:
        """Close both readers, once a read under way has ended."""
        self._thread.shutdown(cancel_futures=True)
        self._points.close()
        self._tail.close()

    def _read_quickly(
        self, user_key: str | None, anonymous_key: str | None
    ) -> Sequence[RecentEvent] | None:
        """Read in the event loop, unless that is slow or the thread has the connection."""
        if self._quick is None or self._reading is not None or not self._quick.are_allowed():
            return None
        try:
            return self._quick.read(lambda: self.get(user_key, anonymous_key))
        except Exception as error:  # the thread reads it again, and says what it makes of it
            _log.warning("recent_events_not_read", error=repr(error))
            return None

    def _load(self, column: KeyColumn, key: str) -> Interactions:
        entries = self._held(key)
        if entries is None:
            entries = self._keep(key, self._points.newest(column, key, MAX_RECENT))
        return entries

    def _held(self, key: str) -> Interactions | None:
        """Return what is known of a key without reading; nothing if it has to be read."""
        entries = self._entries.get(key)
        if entries is not None:
            self._entries.move_to_end(key)
        elif self._filter is not None and self._filter.lacks("recent", key):
            entries = _NOTHING
        return entries

    def _fetch(self, column: KeyColumn, key: str) -> asyncio.Future[None]:
        """Read one key with all that wait when the thread is free, once for all who ask."""
        read = self._fetching.get(key)
        if read is None:
            if self._waiting is None:
                self._waiting = _Batch(asyncio.get_running_loop().create_future())
                self._waiting.read.add_done_callback(_tell_failure)
                if self._reading is None:
                    self._reading = asyncio.get_running_loop().create_task(self._read_batches())
            self._waiting.keys[column].append(key)
            self._arrived[key] = []
            read = self._fetching[key] = self._waiting.read
        return read

    async def _read_batches(self) -> None:
        """Read what waits, and what came meanwhile, until nothing does.

        A hop to the thread costs more than a read, so shoppers who come together share one.
        """
        loop = asyncio.get_running_loop()
        try:
            while self._waiting is not None:
                batch, self._waiting = self._waiting, None
                try:
                    found = await loop.run_in_executor(self._thread, self._read_batch, batch)
                    for key, rows in found:
                        self._keep(key, rows)
                except Exception as error:  # it is theirs who wait
                    batch.read.set_exception(error)
                else:
                    batch.read.set_result(None)
                finally:
                    self._let_go(batch)
        finally:
            self._reading = None

    def _read_batch(self, batch: _Batch) -> list[tuple[str, list[InteractionRow]]]:
        found: list[tuple[str, list[InteractionRow]]] = []
        for column, keys in batch.keys.items():
            found += zip(keys, self._points.newest_of(column, keys, MAX_RECENT), strict=True)
        return found

    def _let_go(self, batch: _Batch) -> None:
        """Add what was committed while the read was under way, and may be missing in it."""
        for keys in batch.keys.values():
            for key in keys:
                del self._fetching[key]
                for row in self._arrived.pop(key):
                    self._add(row)

    def _keep(self, key: str, rows: Sequence[InteractionRow]) -> Interactions:
        gone = self._entries.pop(key, None)
        self._n_cached -= 0 if gone is None else 1 + len(gone)
        entries = Interactions.of(rows) if rows else _NOTHING
        self._entries[key] = entries
        self._n_cached += 1 + len(entries)
        self._make_room()
        return entries

    def _make_room(self) -> None:
        """Let go of the keys that were not asked for longest."""
        while self._n_cached > self._max_cached and len(self._entries) > 1:
            _, gone = self._entries.popitem(last=False)
            self._n_cached -= 1 + len(gone)

    def _add(self, row: KeyedRow) -> None:
        """Add to the keys that are cached; another key reads the store when it is asked for."""
        for key in (row.user_key, row.anonymous_key):
            if key in self._arrived:
                self._arrived[key].append(row)
            entries = None if key is None else self._entries.get(key)
            if key is None or entries is None:
                continue
            self._entries[key] = continued = entries.with_row(row)
            self._n_cached += len(continued) - len(entries)
        self._make_room()


def _merged(mine: Interactions, visit: Interactions) -> Sequence[RecentEvent]:
    """Merge two lists; an event sent with both keys is in both."""
    if visit is _NOTHING:
        return () if mine is _NOTHING else mine
    return visit if mine is _NOTHING else mine.merged(visit)


def _tell_failure(read: asyncio.Future[None]) -> None:
    """Log a read that failed, so that it is told even if nobody waits for it any more."""
    if not read.cancelled() and read.exception() is not None:
        _log.warning("recent_events_not_read", error=repr(read.exception()))
