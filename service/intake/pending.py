"""Events that wait for the writer thread, bounded: whoever sent them awaits their being on disk."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from models.errors import CapacityError
from service.stores.events import StoredEvent, StoreSilentError

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
        """Store events and return, after the commit, which of them are new; see `enter`."""
        return await self.enter(events, n_received=n_received, n_rejected=n_rejected)

    def enter(
        self, events: Sequence[StoredEvent], *, n_received: int, n_rejected: int = 0
    ) -> asyncio.Future[list[bool]]:
        """Have events stored; the future says, after the commit, which are new and no repeats.

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
        return future

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
