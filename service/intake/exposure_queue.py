"""Exposures that wait for the writer thread, bounded; nobody awaits them, and drops are told."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import structlog

from service.exposure import Exposure
from service.stores.events import Counter, Counts

Count = Callable[[Counter, int], None]
"""Where the live counters go, e.g. to ``/metrics``."""

Pack = Callable[[Sequence[Exposure]], msgspec.Raw]
"""Writes exposures as the store takes them; raises `ValueError` if it cannot be done."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class LoggedPage:
    """The exposures of one page, and how the store takes them once they are packed."""

    exposures: Sequence[Exposure]
    packed: msgspec.Raw | None = None


class ExposureQueue:
    """The exposures' side of intake: `put` never waits; what does not fit is counted and told.

    Where the store is another process, exposures are packed in the event loop behind the answers:
    the writer thread, which has hundreds at once, would keep pages waiting for the interpreter.
    """

    def __init__(
        self,
        *,
        count: Count,
        max_pending: int = 50_000,
        pack: Pack | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._waiting: deque[LoggedPage] = deque()
        self._n_put = 0
        self._n_taken = 0
        """Two numbers, for each is changed by one thread."""
        self._max_pending = max_pending
        self._pack = pack
        self._unpacked: list[LoggedPage] = []
        self._monotonic_s = monotonic_s
        self._n_dropped = 0
        self._n_dropped_written = 0
        self._n_dropped_told = 0
        self._told_s = float("-inf")
        self._account: Callable[[Counts], None] | None = None

    @property
    def is_crowded(self) -> bool:
        """Whether so many wait that whoever makes more should let the writer thread work."""
        return 2 * len(self) > self._max_pending

    def put(self, exposure: Exposure) -> bool:
        """Queue one exposure; false, never an exception or a wait, if there is no room."""
        return self.put_all((exposure,)) == 1

    def put_all(self, exposures: Sequence[Exposure]) -> int:
        """Queue the exposures of a page; return for how many of them there was room."""
        self._count("served", len(exposures))
        room = max(self._max_pending - len(self), 0)
        taken = exposures if len(exposures) <= room else exposures[:room]
        if taken:
            self._n_put += len(taken)
            page = LoggedPage(taken)
            self._waiting.append(page)
            if self._pack is not None:
                self._pack_soon(page)
        self._count("assigned", len(taken))
        if len(taken) < len(exposures):
            self.drop(len(exposures) - len(taken), "the exposure queue has no room")
        return len(taken)

    def drop(self, n: int, why: str) -> None:
        """Count exposures that are lost, and say so in the log at most once a second."""
        self._n_dropped += n
        self._count("dropped", n)
        now_s = self._monotonic_s()
        if now_s - self._told_s >= 1.0:
            self.tell_drops(why)
            self._told_s = now_s
        if self._account is not None:
            ledger = self.ledger(0)
            self._account(ledger)
            self.wrote(ledger)

    def close(self, account: Callable[[Counts], None]) -> None:
        """Have room for nothing more: who writes has ended; call it where `put` is called.

        A page may still be answered, on a connection that came last. Its exposures, and those that
        came since the end, are dropped, and `account` is told, for no ledger is written any more.
        """
        self._account, self._max_pending = account, 0
        n_left = len(self)
        if n_left:
            self.take(n_left)
            self.drop(n_left, "the service has stopped")

    def tell_drops(self, why: str) -> None:
        """Log the drops that the log has not seen."""
        n = self._n_dropped - self._n_dropped_told
        if n:
            _log.error("exposures_dropped", n=n, total=self._n_dropped, why=why)
            self._n_dropped_told += n

    def __len__(self) -> int:
        return self._n_put - self._n_taken

    def take(self, n_exposures: int) -> list[LoggedPage]:
        """Take the oldest pages until `n_exposures` are reached."""
        taken: list[LoggedPage] = []
        n = 0
        while self._waiting and n < n_exposures:
            taken.append(self._waiting.popleft())
            n += len(taken[-1].exposures)
        self._n_taken += n
        for page in taken:  # nearly all of them are packed by now
            self._pack_page(page)
        return taken

    def give_back(self, pages: Sequence[LoggedPage]) -> None:
        """Put pages that could not be written back in front."""
        self._waiting.extendleft(reversed(pages))
        self._n_taken -= sum(len(page.exposures) for page in pages)

    def _pack_soon(self, page: LoggedPage) -> None:
        """Pack a page after its answer is sent; outside of an event loop `take` does it."""
        if not self._unpacked:
            try:
                asyncio.get_running_loop().call_soon(self._pack_all)
            except RuntimeError:
                return
        self._unpacked.append(page)

    def _pack_all(self) -> None:
        for page in self._unpacked:
            self._pack_page(page)
        self._unpacked.clear()

    def _pack_page(self, page: LoggedPage) -> None:
        if page.packed is None and self._pack is not None:
            with suppress(ValueError):  # the store will say of which value
                page.packed = self._pack(page.exposures)

    def ledger(self, n_taken: int) -> Counts:
        """Say what the ledger gains when `n_taken` exposures are written."""
        n_dropped = self._n_dropped - self._n_dropped_written
        return {"served": n_taken + n_dropped, "assigned": n_taken, "dropped": n_dropped}

    def wrote(self, ledger: Counts) -> None:
        """Remember that a result of `ledger` is on disk."""
        self._n_dropped_written += ledger["dropped"]
