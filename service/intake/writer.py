"""The one thread of a process that writes the log of events and exposures: it commits in groups.

While one commit waits for the disk the next group gathers, so the time of a commit is the window of
a group. Only after it do the waiting requests get their answer and the stored counters move.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from models.errors import CapacityError, EndcapError, StoreError
from service.intake.exposure_queue import NOT_STORABLE, Count, ExposureQueue, Piece
from service.intake.log_state import LogState
from service.intake.pending import EventWriter, Submission
from service.stores.events import (
    Batch,
    Committed,
    Counts,
    EventStore,
    NumberedEvent,
    StoreBusyError,
)

MAX_GROUP = 5_000
"""Events, and exposures, in one transaction."""
LINGER_S = 0.25
"""How long exposures that nobody awaits gather before they cost a commit of their own."""
EVENT_LINGER_S = 0.005
"""How long the first event waits for others to share its commit, which costs about as long."""
PAUSE_S = 0.5
"""Between attempts on a disk that refuses."""

OnCommit = Callable[[Sequence[NumberedEvent]], None]
"""Called in the event loop with the new events, before anyone is told that they are stored."""

_log = structlog.get_logger(__name__)


class StoreWriter:
    """Drains an `EventWriter` and an `ExposureQueue` into an `EventStore`."""

    def __init__(
        self,
        store: EventStore,
        *,
        events: EventWriter,
        exposures: ExposureQueue,
        bell: threading.Condition,
        count: Count,
        on_commit: OnCommit,
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float] = time.monotonic,
        linger_s: float = LINGER_S,
        observe_commit: Callable[[float], None] = lambda _seconds: None,
        count_wait: Callable[[], None] = lambda: None,
        note_lost: Callable[[Counts], None] = lambda _counts: None,
        state: LogState | None = None,
    ) -> None:
        self._store = store
        self._events = events
        self._exposures = exposures
        self._bell = bell
        self._count = count
        self._on_commit = on_commit
        self._now_ms = now_ms
        self._monotonic_s = monotonic_s
        self._linger_s = linger_s
        self._observe_commit = observe_commit
        self._count_wait = count_wait
        self._note_lost = note_lost
        self._closing = False
        self._is_refused = False
        self._deadline_s = float("inf")
        self._state = LogState(now_ms, monotonic_s) if state is None else state
        self._thread = threading.Thread(target=self._run, name="event-store-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Take nothing more in, write what waits, and tell whether all of it got to the disk.

        What is not written after `timeout_s` is refused (events) or counted as dropped (exposures).
        """
        with self._bell:
            self._closing = True
            self._deadline_s = self._monotonic_s() + timeout_s
            self._events.close()
            self._bell.notify()
        self._thread.join(timeout_s + 2.0)
        return not self._thread.is_alive() and not len(self._exposures)

    def _run(self) -> None:
        while self._wait():
            try:
                self._write_group()
            except Exception:  # the loop of this thread: it must outlive whatever went wrong once
                _log.exception("event_store_writer_failed")
        self._end()

    def _wait(self) -> bool:
        """Sleep until there is a group to write; false when all is written or time is up."""
        with self._bell:
            self._sleep()
            if self._events.has_waiting() and not self._closing:
                self._bell.wait_for(
                    lambda: self._closing or self._events.has_many(), EVENT_LINGER_S
                )
            if not self._closing:
                return True
            left = self._events.has_waiting() or len(self._exposures)
            return bool(left) and self._monotonic_s() < self._deadline_s

    def _sleep(self) -> None:
        """Sleep until an event comes, or exposures have gathered for a while.

        A page wakes nobody: the thread that it woke would want the interpreter while the page is
        still being answered.
        """
        if self._closing or self._events.has_waiting() or len(self._exposures) >= MAX_GROUP:
            return
        self._events.is_quiet = True
        self._bell.wait(self._linger_s)
        self._events.is_quiet = False

    def _write_group(self) -> None:
        with self._bell:
            submissions = self._events.take(MAX_GROUP)
        # With the events, so that a click never comes to the disk before what was clicked.
        pieces = self._exposures.take(MAX_GROUP)
        if not submissions and not pieces:
            return
        self._is_refused = False
        self._write(submissions, pieces)
        if self._is_refused:
            with self._bell:
                self._bell.wait(PAUSE_S)

    def _write(self, submissions: Sequence[Submission], pieces: Sequence[Piece]) -> None:
        """Commit a group, or its members one by one if one of them cannot be stored at all."""
        n_exposures = sum(piece.n for piece in pieces)
        try:
            committed, ledger = self._commit(submissions, pieces, n_exposures)
        except (CapacityError, StoreError) as error:
            # Nothing was written: events are refused, exposures wait.
            self._is_refused = True
            self._exposures.give_back(pieces)
            self._state.refuse(error)
            self._answer(submissions, _refusal(error))
        except Exception as error:
            # One odd value must not take the others with it.
            self._state.succeed()
            if len(submissions) + n_exposures > 1:
                for submission in submissions:
                    self._write([submission], [])
                for piece in pieces:
                    for one in piece.each():
                        self._write([], [one])
                return
            _log.exception("event_store_value_refused")
            self._exposures.drop(n_exposures, NOT_STORABLE)
            self._answer(
                submissions, StoreError(f"the events cannot be stored: {error}; check their values")
            )
        else:
            self._exposures.wrote(ledger)
            self._tell_counts(submissions, committed)
            self._answer(submissions, committed)

    def _commit(
        self,
        submissions: Sequence[Submission],
        pieces: Sequence[Piece],
        n_exposures: int,
    ) -> tuple[Committed, Counts]:
        events = [event for submission in submissions for event in submission.events]
        exposures = [exposure for piece in pieces for exposure in piece.exposures]
        packed = [piece.packed for piece in pieces if piece.packed is not None]
        ledger = self._exposures.ledger(n_exposures)
        counts = ledger | _arrivals(submissions)
        begin_s = self._monotonic_s()
        self._state.begin()
        committed = self._insist(Batch(events, exposures, counts, packed))
        self._state.succeed()
        self._observe_commit(self._monotonic_s() - begin_s)
        return committed, ledger

    def _insist(self, batch: Batch) -> Committed:
        """Commit, and wait as long as others hold the store."""
        while True:
            try:
                return self._store.commit(batch)
            except StoreBusyError as error:
                self._count_wait()
                if self._monotonic_s() >= self._deadline_s:
                    raise
                self._state.wait(error)

    def _tell_counts(self, submissions: Sequence[Submission], committed: Committed) -> None:
        for name, n in _arrivals(submissions).items():
            self._count(name, n)
        self._count("accepted", len(committed.added))
        self._count("duplicate", len(committed.is_new) - len(committed.added))
        self._count("stored", committed.n_exposures)

    def _answer(self, submissions: Sequence[Submission], outcome: Committed | EndcapError) -> None:
        self._events.finish(submissions)
        if not submissions:
            return
        try:
            # A process has one event loop, so whoever submitted first knows it.
            submissions[0].loop.call_soon_threadsafe(self._resolve, submissions, outcome)
        except RuntimeError:  # the loop has ended: nobody waits any more
            _log.warning("nobody_waits_for_events", n=len(submissions))

    def _resolve(self, submissions: Sequence[Submission], outcome: Committed | EndcapError) -> None:
        if isinstance(outcome, Committed):
            try:
                self._on_commit(outcome.added)
            except Exception:  # the events are stored, and whoever waits must hear it
                _log.exception("committed_events_not_shown")
        first = 0
        for submission in submissions:
            end = first + len(submission.events)
            # A request whose client went away is done already.
            if not submission.future.done():
                if isinstance(outcome, Committed):
                    submission.future.set_result(outcome.is_new[first:end])
                else:
                    submission.future.set_exception(outcome)
            first = end

    def _end(self) -> None:
        with self._bell:
            submissions = self._events.take(2**62)
        self._answer(submissions, CapacityError("the service has stopped; send the events again"))
        self._exposures.drop_waiting("the service stopped before they were written")
        self._exposures.tell_drops("the service stops")
        ledger = self._exposures.ledger(0)
        try:
            if any(ledger.values()):
                self._insist(Batch(counts=ledger))
            self._store.close(self._now_ms())
        except (CapacityError, StoreError) as error:
            _log.error("event_store_not_closed", error=str(error))
            self._store.abandon()
            self.keep_account(ledger)
        self._exposures.wrote(ledger)

    def keep_account(self, ledger: Counts) -> None:
        """Say outside of the store what was lost, for the store does not take it."""
        if not any(ledger.values()):
            return
        try:
            self._note_lost(ledger)
        except OSError as error:
            _log.error("lost_exposures_not_noted", error=str(error), **ledger)


def _refusal(error: EndcapError) -> EndcapError:
    """Say to whoever sent events what to do about a store that is busy while the service stops."""
    return (
        CapacityError(f"{error}; send the events again")
        if isinstance(error, StoreBusyError)
        else error
    )


def _arrivals(submissions: Sequence[Submission]) -> Counts:
    return {
        "received": sum(submission.n_received for submission in submissions),
        "rejected": sum(submission.n_rejected for submission in submissions),
    }
