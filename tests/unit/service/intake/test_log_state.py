"""Busy is told from stuck and from refused, by a clock of the test's own."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from models.errors import StoreError
from service.intake.log_state import REFUSED_S, STUCK_S, LogState, watch_log
from service.intake.pending import EventWriter
from service.stores.events import StoreBusyError, StoreSilentError
from tests.unit.service.intake.samples import view

BUSY = StoreBusyError("it works on others", "look at it")


class Hand:
    """A clock that the test moves; the wall shows 1,000,000 ms at 0 s."""

    now_s = 0.0

    def monotonic_s(self) -> float:
        """Return seconds."""
        return self.now_s

    def now_ms(self) -> int:
        """Return the wall's time."""
        return 1_000_000 + round(self.now_s * 1000)


@pytest.fixture
def hand() -> Hand:
    """A clock at 0."""
    return Hand()


@pytest.fixture
def state(hand: Hand) -> LogState:
    """A process that has written nothing yet."""
    return LogState(hand.now_ms, hand.monotonic_s)


def lines(state: LogState) -> list[tuple[str, str]]:
    """Look, and return level and name of what was logged."""
    with structlog.testing.capture_logs() as logged:
        state.look(3, 4)
    return [(one["log_level"], one["event"]) for one in logged]


def test_busy_store_is_no_trouble_and_told_once_a_minute(state: LogState, hand: Hand) -> None:
    """Groups that wait for less than five seconds each, for two minutes: two lines of information,
    the first at once and the next after a minute, and never a warning."""
    logged: list[tuple[str, str]] = []
    while hand.now_s < 119:
        state.begin()
        state.wait(BUSY)
        hand.now_s += STUCK_S - 0.5
        assert state.trouble() is None
        logged += lines(state)
        state.succeed()
    assert logged == [("info", "event_log_busy")] * 2


def test_silent_store_is_trouble_since_its_group_began(state: LogState, hand: Hand) -> None:
    """After five seconds, with what it waits for and what to do; one warning in thirty seconds;
    over when a group got in."""
    hand.now_s = 7.0
    state.begin()
    state.wait(BUSY)
    hand.now_s = 7.0 + STUCK_S
    trouble = state.trouble()
    assert trouble == (1_007_000, STUCK_S, "it works on others", "look at it", True)
    assert lines(state) == [("warning", "event_log_stuck")]
    hand.now_s += 29
    assert lines(state) == []
    hand.now_s += 1
    assert lines(state) == [("warning", "event_log_stuck")]
    state.succeed()
    assert state.trouble() is None
    assert lines(state) == [("warning", "event_log_answers_again"), ("info", "event_log_busy")]
    assert lines(state) == []


def test_store_that_never_returns_is_found_out(state: LogState, hand: Hand) -> None:
    """Not even a word that it is busy."""
    state.begin()
    hand.now_s = STUCK_S
    trouble = state.trouble()
    assert trouble is not None
    assert (trouble.why, trouble.is_silent) == ("the event store does not answer", True)


def test_refusal_is_trouble_at_once_and_since_the_first(state: LogState, hand: Hand) -> None:
    """Each group is refused by itself; the next attempt does not hide it, a group that is stored
    ends it, and so does half a minute without an attempt."""
    for _ in range(3):
        state.begin()
        state.refuse(StoreError("the disk is full"))
        hand.now_s += 2
    state.begin()
    trouble = state.trouble()
    assert trouble == (1_000_000, 6.0, "the disk is full", "", False)
    assert lines(state) == [("warning", "event_log_refuses")]
    state.succeed()
    assert state.trouble() is None
    state.begin()
    state.refuse(StoreError("the disk is full"))
    hand.now_s += REFUSED_S
    assert state.trouble() is None


def watched(state: LogState, hand: Hand, use: Callable[[EventWriter, list[bool]], Any]) -> None:
    """Watch a writer that nobody empties, with five turns of the loop for each look."""
    events = EventWriter(threading.Condition(), monotonic_s=hand.monotonic_s)
    shown: list[bool] = []

    async def run() -> None:
        watching = asyncio.create_task(
            watch_log(state, events, wait_s=15, n_exposures=lambda: 0, show=shown.append)
        )
        await use(events, shown)
        watching.cancel()

    asyncio.run(run())


def test_nobody_waits_longer_than_allowed(
    state: LogState, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was taken and whoever still waits is answered after 15 s, later ones at once, until
    the store answers again; what was not taken is let go."""
    monkeypatch.setattr("service.intake.log_state.LOOK_S", 0)

    async def use(events: EventWriter, shown: list[bool]) -> None:
        taken = asyncio.create_task(events.submit([view("a")], n_received=1))
        await asyncio.sleep(0)
        group = events.take(1)
        state.begin()
        hand.now_s = 1.0
        waiting = asyncio.create_task(events.submit([view("b"), view("c")], n_received=2))
        await asyncio.sleep(0)
        hand.now_s = 14.9
        await turn()
        assert not taken.done()
        assert shown.pop() is False
        hand.now_s = 15.0
        with pytest.raises(StoreSilentError, match=r"waited for 15 s for the disk: .*stored once"):
            await taken
        assert not waiting.done()
        hand.now_s = 16.0
        with pytest.raises(StoreSilentError):
            await waiting
        assert events.n_pending == 1
        with pytest.raises(StoreSilentError, match="no events are taken in"):
            await events.submit([view("d")], n_received=1)
        state.succeed()
        events.finish(group)
        assert events.refusal is None
        await turn()
        assert shown.pop() is True
        assert events.n_pending == 0

    watched(state, hand, use)


async def turn() -> None:
    """Let the loop go round."""
    for _ in range(5):
        await asyncio.sleep(0)
