"""Whom a visitor is dealt as: a bounded cache over the store of identities that follows it.

A request asks with one look into a dictionary. Only those of whom something may be written down,
and whom this process does not know yet, are read, in a thread. Everything here runs in the event
loop, except the store's own work.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
import structlog

from models.errors import StoreError
from service.intake.batches import Batches
from service.intake.quick_reads import QuickReads
from service.intake.recents import AFTER_FAILURE_S
from service.rollouts.bucketing import UnitKind
from service.rollouts.visitor import Person, Unit, person_of
from service.stores.identities import IdentityStore, PersonRow, UnitRow
from service.stores.key_filter import KeyFilter

RECHECK_MS = 300_000
"""After so long a pair of ids is asked about again: the visitor may have signed out meanwhile."""

_log = structlog.get_logger(__name__)

Pair = tuple[str | None, str | None]


class _Entry(NamedTuple):
    person: Person
    read_ms: int


class People:
    """Persons by (user key, anonymous key)."""

    def __init__(
        self,
        store: IdentityStore,
        tail: IdentityStore,
        *,
        now_ms: Callable[[], int],
        count_unread: Callable[[], None] = lambda: None,
        max_cached: int = 50_000,
        quick: QuickReads | None = None,
        key_filter: KeyFilter | None = None,
    ) -> None:
        """Settle misses in `store` and follow all writes with `tail`.

        At most `max_cached` pairs are kept, 0.9 KB each; the oldest goes first. Without `quick`
        every read goes to a thread. Who is not in `key_filter` is neither read nor kept.
        """
        self._quick = quick
        self._filter = key_filter
        self._store = store
        self._tail = tail
        self._now_ms = now_ms
        self._count_unread = count_unread
        self._max_cached = max_cached
        self._entries: OrderedDict[Pair, _Entry] = OrderedDict()
        self._pairs: dict[str, set[Pair]] = {}
        self._reading: dict[Pair, asyncio.Task[Person]] = {}
        self._outdated: set[Pair] = set()
        self._thread = ThreadPoolExecutor(1, "people")
        self._batches: Batches[Pair, PersonRow] = Batches(
            self._thread, lambda pairs: store.settle_all(pairs, now_ms())
        )
        self._seen_version = tail.data_version()
        self._last = tail.last_rows()

    def cached(self, user_key: str | None, anonymous_key: str | None) -> Person | None:
        """Return whom a visitor is dealt as, if that needs no reading, or a quick one."""
        entry = self._entries.get((user_key, anonymous_key))
        if entry is None:
            if self._are_new(user_key, anonymous_key):
                return person_of(user_key, anonymous_key)
            return self._read_quickly(user_key, anonymous_key)
        both = user_key is not None and anonymous_key is not None
        if both and self._now_ms() - entry.read_ms > RECHECK_MS:
            self.read(user_key, anonymous_key)
        return entry.person

    def read(self, user_key: str | None, anonymous_key: str | None) -> asyncio.Task[Person]:
        """Begin to read in the thread, once for all who wait; a caller that gives up stops nothing.

        What is read is what the next call of `cached` returns. Shield the task when awaiting it.
        """
        pair = user_key, anonymous_key
        task = self._reading.get(pair)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read_now(pair))
            task.add_done_callback(_tell_failure)
            self._reading[pair] = task
        return task

    async def person(
        self, user_key: str | None, anonymous_key: str | None, timeout_s: float
    ) -> Person:
        """Return whom a visitor is dealt as.

        If it cannot be read in time it is the user, and every id that came with them counts as
        another unit of theirs, so that what is dealt apart is marked.
        """
        person = self.cached(user_key, anonymous_key)
        if person is not None:
            return person
        try:
            async with asyncio.timeout(max(timeout_s, 0.0)):
                return await asyncio.shield(self.read(user_key, anonymous_key))
        except Exception:  # whatever the store does, a visitor is answered; `read` logs the failure
            self._count_unread()
        known = person_of(user_key, anonymous_key)
        if user_key is None or anonymous_key is None:
            return known
        return Person(known.unit, (Unit("anonymous_id", anonymous_key),))

    async def catch_up(self) -> None:
        """Forget those of whom another process, or this one, has written since the last call."""
        version = self._tail.data_version()
        if version == self._seen_version:
            return
        # Most commits are of exposures, and a hop to a thread costs the pages more than this look.
        if not self._tail.is_near or self._tail.last_rows() != self._last:
            await self._take_news()
        self._seen_version = version

    async def follow(self, poll_s: float) -> None:
        """Catch up every `poll_s` until cancelled."""
        while True:
            try:
                await self.catch_up()
            except Exception:  # a task's loop: the next round may succeed
                _log.exception("identities_not_read")
                # A server that is away is not asked, and told of, ten times a second.
                await asyncio.sleep(AFTER_FAILURE_S)
            await asyncio.sleep(poll_s)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop what is kept of these pseudonyms; the next request reads it."""
        gone = set(keys)
        for key in gone:
            for pair in list(self._pairs.get(key, ())):
                self._drop(pair)
        self._outdated.update(pair for pair in self._reading if not gone.isdisjoint(pair))

    def forget_all(self) -> None:
        """Drop everything; the next request of each visitor reads the store."""
        self.forget(list(self._pairs))
        self._outdated.update(self._reading)

    def close(self) -> None:
        """Close both connections, once a read under way has ended."""
        self._thread.shutdown(cancel_futures=True)
        self._tail.close()
        self._store.close()

    def _are_new(self, user_key: str | None, anonymous_key: str | None) -> bool:
        """Tell whether `settle` would surely find nothing and have nothing to write down."""
        unit_key, device_key = user_key, anonymous_key
        if unit_key is None:
            unit_key, device_key = anonymous_key, None
        if unit_key is None:
            return True
        if self._filter is None or not self._filter.lacks("identity", unit_key):
            return False
        return device_key is None or self._filter.lacks("dealt", device_key)

    def _read_quickly(self, user_key: str | None, anonymous_key: str | None) -> Person | None:
        """Find out in the event loop that nothing is known; what is, takes the thread."""
        if self._quick is None or self._reading:
            return None
        if not self._quick.are_allowed():
            return None
        now_ms = self._now_ms()
        try:
            noted = self._quick.read(lambda: self._store.is_noted(user_key, anonymous_key))
        except StoreError as error:  # the thread reads it again, and says what it makes of it
            _log.warning("identity_not_read", error=error.message)
            return None
        if noted:
            return None
        person = person_of(user_key, anonymous_key)
        self._keep((user_key, anonymous_key), _Entry(person, now_ms))
        return person

    async def _take_news(self) -> None:
        news = await asyncio.to_thread(self._tail.news_since, self._last)
        self._last = news.last
        self.forget(news.user_keys | news.linked_keys)

    async def _read_now(self, pair: Pair) -> Person:
        now_ms = self._now_ms()
        try:
            person = _person(await self._batches.read(pair))
            if pair not in self._outdated:
                self._keep(pair, _Entry(person, now_ms))
            return person
        finally:
            del self._reading[pair]
            self._outdated.discard(pair)

    def _keep(self, pair: Pair, entry: _Entry) -> None:
        self._drop(pair)
        self._entries[pair] = entry
        for key in _keys(pair, entry.person):
            self._pairs.setdefault(key, set()).add(pair)
        while len(self._entries) > self._max_cached:
            self._drop(next(iter(self._entries)))

    def _drop(self, pair: Pair) -> None:
        entry = self._entries.pop(pair, None)
        if entry is None:
            return
        for key in _keys(pair, entry.person):
            pairs = self._pairs[key]
            pairs.discard(pair)
            if not pairs:
                del self._pairs[key]


def _keys(pair: Pair, person: Person) -> set[str]:
    unit = person.unit
    return {key for key in (*pair, None if unit is None else unit.key) if key is not None}


def _person(row: PersonRow) -> Person:
    return Person(_unit(row.unit), tuple(_unit(other) for other in row.others))


def _unit(row: UnitRow) -> Unit:
    return Unit(msgspec.convert(row.kind, UnitKind), row.key)


def _tell_failure(task: asyncio.Task[Person]) -> None:
    """Log a read that failed, so that it is told even if nobody waits for it any more."""
    if not task.cancelled() and task.exception() is not None:
        _log.warning("identity_not_read", error=repr(task.exception()))
