"""Exposures that wait for the writer thread, bounded; nobody awaits them, and drops are told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from service.exposure import Exposure
from service.stores.events import Counter, Counts
from service.stores.exposure_rows import PackedExposures

MAX_PIECE = 512
"""Exposures that are packed into one piece, or a few more: it holds whole pages."""
NOT_STORABLE = "a value cannot be stored"
"""Why an exposure is dropped that no store would take."""

Count = Callable[[Counter, int], None]
"""Where the live counters go, e.g. to ``/metrics``."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Exposures of a page, or packed ones of several, in the order in which they were made."""

    n: int
    exposures: Sequence[Exposure] = ()
    """None where they are packed."""
    packed: msgspec.Raw | None = None

    def each(self) -> list[Piece]:
        """Make a piece of each exposure."""
        if self.packed is None:
            return [Piece(1, (exposure,)) for exposure in self.exposures]
        return [Piece(1, packed=one) for one in PackedExposures.each_of(self.packed)]


class ExposureQueue:
    """The exposures' side of intake: `put` never waits; what does not fit is counted and told.

    Where the store is another process, exposures are packed in the event loop behind the answers,
    and forgotten: the writer thread, which has thousands at once, would keep pages waiting for the
    interpreter with whatever it does for each.
    """

    def __init__(
        self,
        *,
        count: Count,
        max_pending: int = 50_000,
        packs: bool = False,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._lock = threading.RLock()
        """Of what both threads change; held for as long as it takes to pack a page or two."""
        self._waiting: deque[Piece] = deque()
        self._n_put = 0
        """Changed where `put` is called only, as the next three, and so without the lock."""
        self._n_served = 0
        self._n_assigned = 0
        """Of both, what is not counted yet."""
        self._is_due = False
        self._n_taken = 0
        self._max_pending = max_pending
        self._packs = packs
        self._unpacked: deque[Sequence[Exposure]] = deque()
        self._packed = PackedExposures()
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
        if not exposures:
            return 0
        room = self._max_pending - (self._n_put - self._n_taken)
        taken = exposures if len(exposures) <= room else exposures[: max(room, 0)]
        n = len(taken)
        self._n_put += n
        self._n_served += len(exposures)
        self._n_assigned += n
        if taken and self._packs:
            self._unpacked.append(taken)
        elif taken:
            self._waiting.append(Piece(n, taken))
        if not self._is_due:
            self._finish_soon()
        if n < len(exposures):
            self.drop(len(exposures) - n, "the exposure queue has no room")
        return n

    def drop(self, n: int, why: str) -> None:
        """Count exposures that are lost, and say so in the log at most once a second."""
        with self._lock:
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

    def drop_waiting(self, why: str) -> None:
        """Drop what waits: as many as are taken, for others may come, or be refused, meanwhile."""
        n = sum(piece.n for piece in self.take(len(self)))
        if n:
            self.drop(n, why)

    def close(self, account: Callable[[Counts], None]) -> None:
        """Have room for nothing more: who writes has ended; call it where `put` is called.

        A page may still be answered, on a connection that came last. Its exposures, and those that
        came since the end, are dropped, and `account` is told, for no ledger is written any more.
        """
        self._account, self._max_pending = account, 0
        self.drop_waiting("the service has stopped")

    def tell_drops(self, why: str) -> None:
        """Log the drops that the log has not seen."""
        n = self._n_dropped - self._n_dropped_told
        if n:
            _log.error("exposures_dropped", n=n, total=self._n_dropped, why=why)
            self._n_dropped_told += n

    def __len__(self) -> int:
        return self._n_put - self._n_taken

    def take(self, n_exposures: int) -> list[Piece]:
        """Take the oldest pieces until `n_exposures` are reached."""
        taken: list[Piece] = []
        n = 0
        with self._lock:
            self._pack_all()  # the pages of this moment, or all where there is no event loop
            self._end_piece()
            while self._waiting and n < n_exposures:
                taken.append(self._waiting.popleft())
                n += taken[-1].n
            self._n_taken += n
        return taken

    def give_back(self, pieces: Sequence[Piece]) -> None:
        """Put pieces that could not be written back in front."""
        with self._lock:
            self._waiting.extendleft(reversed(pieces))
            self._n_taken -= sum(piece.n for piece in pieces)

    def _finish_soon(self) -> None:
        """Do behind the answer what can wait, for even to count takes 10 µs on an idle machine.

        Outside of an event loop there is no later: it is counted now, and `take` packs.
        """
        self._is_due = True
        try:
            asyncio.get_running_loop().call_soon(self._finish)
        except RuntimeError:
            self._is_due = False
            self._count_put()

    def _finish(self) -> None:
        self._is_due = False
        self._count_put()
        self._pack_all()

    def _count_put(self) -> None:
        n_served, self._n_served = self._n_served, 0
        n_assigned, self._n_assigned = self._n_assigned, 0
        self._count("served", n_served)
        self._count("assigned", n_assigned)

    def _pack_all(self) -> None:
        with self._lock:
            while self._unpacked:
                self._pack(self._unpacked.popleft())

    def _pack(self, exposures: Sequence[Exposure]) -> None:
        try:
            self._packed.add(exposures)
        except Exception as error:
            # One odd value, whatever is wrong with it, must not take the others with it.
            if len(exposures) > 1:
                for exposure in exposures:
                    self._pack((exposure,))
                return
            _log.error("exposure_refused", error=str(error))
            self._n_taken += 1
            self.drop(1, NOT_STORABLE)
        if self._packed.n_exposures >= MAX_PIECE:
            self._end_piece()

    def _end_piece(self) -> None:
        n = self._packed.n_exposures
        if n:
            self._waiting.append(Piece(n, packed=self._packed.finish()))
            self._packed = PackedExposures()

    def ledger(self, n_taken: int) -> Counts:
        """Say what the ledger gains when `n_taken` exposures are written."""
        n_dropped = self._n_dropped - self._n_dropped_written
        return {"served": n_taken + n_dropped, "assigned": n_taken, "dropped": n_dropped}

    def wrote(self, ledger: Counts) -> None:
        """Remember that a result of `ledger` is on disk."""
        with self._lock:
            self._n_dropped_written += ledger["dropped"]
