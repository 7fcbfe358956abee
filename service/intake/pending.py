"""What waits for the writer thread, bounded: events somebody awaits, exposures nobody does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import structlog

from models.errors import CapacityError
from service.exposure import Exposure
from service.stores.events import Counter, Counts, StoredEvent, StoreSilentError

Count = Callable[[Counter, int], None]
"""Where the live counters go, e.g. to ``/metrics``."""

Pack = Callable[[Sequence[Exposure]], msgspec.Raw]
"""Writes exposures as the store takes them; raises `ValueError` if it cannot be done."""

RETRY_AFTER_S = 1
MANY = 100
"""Events that are worth a commit of their own."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Submission:
    """The events of one request, and who waits for them."""

    events: Sequence[StoredEvent]
    n_received: int
    n_rejected: int
    future: asyncio.Future[list[bool]]
    begin_s: float
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)


class EventWriter:
    """The events' side of intake: `submit` returns when they are on disk."""

    def __init__(
        self,
        bell: threading.Condition,
        *,
        max_pending: int = 50_000,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bell = bell
        self._waiting: deque[Submission] = deque()
        self._taken: Sequence[Submission] = ()
        self._max_pending = max_pending
        self._monotonic_s = monotonic_s
        self._n_pending = 0
        self._closed = False
        self.is_quiet = False
        """Set by the writer thread while it sleeps and the next event must wake it."""
        self.refusal: str | None = None
        """Set in the event loop while the store is silent for so long that nobody shall wait."""

    @property
    def n_pending(self) -> int:
        """How many events are taken in and not yet on disk."""
        return self._n_pending

    async def submit(
        self, events: Sequence[StoredEvent], *, n_received: int, n_rejected: int = 0
    ) -> list[bool]:
        """Store events and return, after the commit, which of them are new; the others are repeats.

        Parameters
        ----------
        events
            Those that are right.
        n_received
            How many came in, right or wrong, as counted where they came in.
        n_rejected
            How many of those were wrong.

        Raises
        ------
        CapacityError
            If too many already wait, the disk is full, or the service stops: nothing of it is kept.
        StoreSilentError
            If the store was silent for too long: the events are stored later, or not at all.
        StoreError
            If the store cannot be written.
        """
        if self.refusal is not None:
            raise StoreSilentError(
                f"{self.refusal}, so no events are taken in; send them again after "
                f"{RETRY_AFTER_S} s"
            )
        future: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        submission = Submission(events, n_received, n_rejected, future, self._monotonic_s())
        with self._bell:
            if self._closed:
                raise CapacityError("the service is stopping; send the events again in a second")
            # A single batch above the bound still goes in when nothing else waits.
            if self._n_pending and self._n_pending + len(events) > self._max_pending:
                raise CapacityError(
                    f"{self._n_pending} events wait for the disk, and at most {self._max_pending} "
                    f"may; send them again after {RETRY_AFTER_S} s"
                )
            self._n_pending += len(events)
            self._waiting.append(submission)
            if self.is_quiet or self.has_many():
                self._bell.notify()
        return await future

    def has_waiting(self) -> bool:
        """Tell whether the writer thread has events to take."""
        return bool(self._waiting)

    def has_many(self) -> bool:
        """Tell whether so many events wait that none of them need wait for more."""
        return self._n_pending >= MANY

    def take(self, n_events: int) -> list[Submission]:
        """Take whole submissions until `n_events` are reached; the caller holds the bell."""
        taken: list[Submission] = []
        n = 0
        while self._waiting and n < n_events:
            taken.append(self._waiting.popleft())
            n += len(taken[-1].events)
        self._taken = taken
        return taken

    def finish(self, submissions: Sequence[Submission]) -> None:
        """Let go of submissions that are answered, one way or the other."""
        with self._bell:
            self._n_pending -= sum(len(submission.events) for submission in submissions)
            if submissions is self._taken:
                self._taken = ()
        self.refusal = None  # the store has answered

    def answer_overdue(self, wait_s: float, why: str) -> int:
        """Tell whoever has waited for so long to send again; call it in the event loop.

        Those that the writer thread has are stored all the same if it ever can, and then count as
        duplicates when they come again. Those that it has not taken yet are let go.
        """
        oldest_s = self._monotonic_s() - wait_s
        with self._bell:
            overdue = [one for one in self._taken if one.begin_s <= oldest_s]
            while self._waiting and self._waiting[0].begin_s <= oldest_s:
                overdue.append(self._waiting.popleft())
                self._n_pending -= len(overdue[-1].events)
        n_told = 0
        for submission in overdue:
            if not submission.future.done():
                n_told += 1
                submission.future.set_exception(
                    StoreSilentError(
                        f"the events have waited for {wait_s:g} s for the disk: {why}; send them "
                        f"again after {RETRY_AFTER_S} s, they are stored once"
                    )
                )
        return n_told

    def close(self) -> None:
        """Take nothing more in; the caller holds the bell."""
        self._closed = True


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
            self.drop(len(exposures) - len(taken), "the exposure queue is full")
        return len(taken)

    def drop(self, n: int, why: str) -> None:
        """Count exposures that are lost, and say so in the log at most once a second."""
        self._n_dropped += n
        self._count("dropped", n)
        now_s = self._monotonic_s()
        if now_s - self._told_s >= 1.0:
            self.tell_drops(why)
            self._told_s = now_s

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
