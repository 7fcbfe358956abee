"""A command that waits for the running sums: for what is stored when it begins, no longer."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from service.stores.caught_up import WAIT_S, catch_up
from service.stores.event_log import EventLog
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.outcomes import read_outcomes
from tests.unit.service.intake.samples import slate

NOW_MS = 2_000


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that name an exposure which is not there go on waiting for it."""
    clock = SimpleNamespace(time_ns=lambda: NOW_MS * 1_000_000)
    monkeypatch.setattr("service.stores.settled_events.time", clock)


def _click(event_id: str, exposure_id: str) -> StoredEvent:
    return StoredEvent(
        event_id, 1, NOW_MS, NOW_MS, user_key="a", item_id="p1", exposure_id=exposure_id
    )


@pytest.mark.usefixtures("stopped_clock")
def test_catch_up_waits_for_what_is_stored_when_it_begins(event_log: EventLog) -> None:
    """A click whose page comes a moment later is counted; one that comes meanwhile is left."""
    store = open_event_store(event_log, opened_ms=1)
    store.commit(Batch([_click("e1", "x1")], []))
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            store.commit(Batch([_click("e2", "x2")], [slate("x1", unit_key="a", user_key="a")]))

    assert catch_up(event_log, now_s=lambda: 0.0, sleep=pause)
    assert len(pauses) == 3
    assert read_outcomes(event_log, "r", max_new=0).n_waiting == 1
    store.close(2)


@pytest.mark.usefixtures("stopped_clock")
def test_catch_up_ends_after_its_time(event_log: EventLog) -> None:
    """Where an event waits on, it says that not all is counted."""
    store = open_event_store(event_log, opened_ms=1)
    store.commit(Batch([_click("e1", "x1")], []))
    moments: Iterator[float] = iter([0.0, WAIT_S / 2, WAIT_S])
    assert not catch_up(event_log, now_s=lambda: next(moments), sleep=lambda _: None)
    store.close(2)


def test_catch_up_of_an_empty_store_ends_at_once(event_log: EventLog) -> None:
    """There is nothing to wait for."""
    open_event_store(event_log, opened_ms=1).close(2)
    assert catch_up(event_log, now_s=lambda: 0.0, sleep=lambda _: pytest.fail("it waited"))
