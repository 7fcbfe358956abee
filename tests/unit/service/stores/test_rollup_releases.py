"""Two releases of which each has running sums of its own never add to the other's."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.reports.rollup_keeper import RollupKeeper
from service.stores import newer_sums, rollup, rollup_tables
from service.stores.event_database import connect_derived
from service.stores.event_log import ROLLUP, EventLog
from service.stores.events import Batch, StoredEvent
from service.stores.newer_sums import NewerSumsError
from service.stores.opening import open_event_store
from service.stores.rollup import add_new, count_waiting, open_rollup
from service.stores.rollup_erasing import erase_units

OWN = rollup_tables.VERSION
N_ROWS = 3


@pytest.fixture
def log(event_log: EventLog) -> Iterator[EventLog]:
    """Store some events that nobody has added up."""
    rollup._tell_once.cache_clear()
    store = open_event_store(event_log, opened_ms=1)
    rows = [StoredEvent(f"e{n}", 1, 5, 5, "u1", item_id="p1") for n in range(N_ROWS)]
    store.commit(Batch(rows))
    yield event_log
    store.close(9)
    rollup._tell_once.cache_clear()


class CountingKeeper(RollupKeeper):
    """Knows how often it tried."""

    n_steps = 0

    def step(self) -> bool:
        """Take a step."""
        self.n_steps += 1
        return super().step()


def make_as_older_releases_did(log: EventLog) -> None:
    """Make the tables anew, whichever were there: a database's too, before November 2026."""
    if isinstance(log, Path):
        open_rollup(log, max_new=0).close()
        return
    from service.stores.postgres_schema import derived_tables

    with closing(connect_derived(log, ROLLUP, busy_timeout_ms=5_000)) as connection:
        for statement in derived_tables(ROLLUP, OWN, rollup_tables.TABLES):
            connection.execute(statement)


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
def test_older_release_leaves_newer_tables_of_a_database_alone(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report and an erasure of it are refused with the reason, its keeper says so once, and
    nothing that the newer one has added up is lost."""
    monkeypatch.setattr(rollup_tables, "VERSION", OWN + 1)
    newer = open_rollup(log)
    monkeypatch.setattr(rollup_tables, "VERSION", OWN)
    with pytest.raises(NewerSumsError, match="'rollup' were made by a newer release"):
        open_rollup(log)
    with pytest.raises(NewerSumsError):
        erase_units(log, ["u1"])
    newer_sums._tell.cache_clear()
    keeper = CountingKeeper(log, poll_s=0.001)
    with capture_logs() as lines:
        keeper.start()
        while keeper.n_steps < 3:
            assert keeper._thread.is_alive()
        keeper.close()
    assert [line["event"] for line in lines] == ["sums_of_a_newer_release"]
    monkeypatch.setattr(rollup_tables, "VERSION", OWN + 1)
    assert count_waiting(newer) == 0
    newer.close()


def test_older_release_adds_nothing_to_tables_of_a_newer_one(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was open while another release made the tables says so once, and stops."""
    with closing(open_rollup(log, max_new=0)) as older:
        monkeypatch.setattr(rollup_tables, "VERSION", OWN + 1)
        with closing(open_rollup(log, max_new=0)) as newer:
            monkeypatch.setattr(rollup_tables, "VERSION", OWN)
            with capture_logs() as lines:
                assert not add_new(older, 100)
                assert not add_new(older, 100)
            assert count_waiting(newer) == N_ROWS
            assert [line["event"] for line in lines] == ["rollup_of_another_release"]
            assert (lines[0]["found"], lines[0]["own"]) == (OWN + 1, OWN)
            monkeypatch.setattr(rollup_tables, "VERSION", OWN + 1)
            assert not add_new(newer, 100)
            assert count_waiting(newer) == 0


def test_newer_keeper_makes_its_tables_again(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older release, such as a report of it, replaced them: the next step has its own again."""
    monkeypatch.setattr(rollup_tables, "VERSION", OWN + 1)
    keeper = RollupKeeper(log)
    while keeper.step():
        pass
    monkeypatch.setattr(rollup_tables, "VERSION", OWN)
    make_as_older_releases_did(log)
    monkeypatch.setattr(rollup_tables, "VERSION", OWN + 1)
    while keeper.step():
        pass
    keeper.give_back()
    with closing(open_rollup(log, max_new=0)) as sums:
        assert count_waiting(sums) == 0
