"""The running sums are the same however they came about: at once, in steps, late, after a crash."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, cast

import numpy as np
import pytest

from models.errors import StoreError
from service.exposure import Exposure
from service.reports.rollup_keeper import RollupKeeper
from service.stores import outcomes, rollup_tables
from service.stores.event_database import SqliteConnection, connect
from service.stores.event_log import Database, EventLog, PostgresLog, Rows
from service.stores.event_schema import EventFlag
from service.stores.events import Batch, StoredEvent
from service.stores.file_lease import FileLease
from service.stores.opening import open_event_store
from service.stores.outcomes import read_outcomes
from service.stores.person_reads import read_person
from service.stores.personal_rows import delete_rows
from service.stores.rollout_sums import RolloutSums
from service.stores.rollup import ROLLUP_FILE, add_new, count_waiting, open_rollup
from service.stores.rollup_erasing import erase_units
from service.stores.settled_events import last_settled
from tests.unit.service.intake.samples import slate

Store = Callable[..., None]

in_a_file = pytest.mark.parametrize("event_url", ["sqlite"], indirect=True)


@pytest.fixture
def path(event_log: EventLog) -> EventLog:
    return event_log


@pytest.fixture
def store(path: EventLog) -> Iterator[Store]:
    writer = open_event_store(path, opened_ms=1)

    def commit(*rows: Exposure | StoredEvent) -> None:
        events = [row for row in rows if isinstance(row, StoredEvent)]
        exposures = [row for row in rows if isinstance(row, Exposure)]
        writer.commit(Batch(events, exposures))

    yield commit
    writer.close(2)


def did(event_id: str, kind: int, unit: str, **fields: object) -> StoredEvent:
    row = StoredEvent(event_id, kind, 2_000, 2_000, user_key=unit, item_id="p1", price=3.0)
    arrived = {"received_ms": fields.get("at_ms", row.received_ms)}
    return row._replace(**(arrived | fields))  # type: ignore[arg-type]  # one dict for every field


def shown(exposure_id: str, unit: str, **fields: object) -> Exposure:
    return slate(exposure_id, unit_key=unit, user_key=unit, **fields)


def anew(path: EventLog) -> RolloutSums:
    """Add everything up again, from nothing."""
    if isinstance(path, PostgresLog):
        connection = connect(path)
        connection.execute("DROP SCHEMA IF EXISTS rollup CASCADE")
        connection.close()
    else:
        path.with_name(ROLLUP_FILE).unlink(missing_ok=True)
    return read_outcomes(path, "r")


def history(rng: np.random.Generator, n: int) -> list[Exposure | StoredEvent]:
    """Make a history in which few units do everything, also late and out of order."""
    rows: list[Exposure | StoredEvent] = []
    for i in range(n):
        unit, at_ms = f"u{rng.integers(12)}", int(rng.integers(1_000, 9_000))
        if rng.random() < 0.5:
            variant = ("control", "personal")[int(rng.integers(2))]
            epoch = int(rng.integers(1, 4))
            rows.append(shown(f"x{i}", unit, at_ms=at_ms, variant=variant, epoch=epoch))
        else:
            exposure_id = f"x{rng.integers(n)}" if rng.random() < 0.5 else None
            kind = int(rng.integers(1, 5))
            rows.append(did(f"e{i}", kind, unit, at_ms=at_ms, exposure_id=exposure_id))
    return rows


@pytest.mark.parametrize("n_rows", [1, 7, 1_000])
def test_steps_of_any_length_come_to_the_same(path: EventLog, store: Store, n_rows: int) -> None:
    """300 rows that arrive in ten commits, with steps in between, are those of one go."""
    rng = np.random.default_rng(n_rows)
    rows = history(rng, 300)
    rows.sort(key=lambda row: isinstance(row, StoredEvent))  # what is named is stored before
    for first in range(0, 300, 30):
        store(*rows[first : first + 30])
        with_steps = open_rollup(path, max_new=0)
        for _ in range(20):
            add_new(with_steps, n_rows)
        with_steps.close()
    by_steps = read_outcomes(path, "r")
    assert by_steps.n_waiting == 0
    assert by_steps == anew(path)


def test_click_without_consent_counts_for_nobody(path: EventLog, store: Store) -> None:
    """Of three clicks that name their slate, one is of a visitor who took consent back.

    It counts on the way from page to click, as one on a slate that nobody's id came with.
    """
    store(*(shown(f"x{i}", unit) for i, unit in enumerate("abc")))
    refused = {"user_key": None, "flags": int(EventFlag.NO_CONSENT)}
    store(
        did("e0", 1, "a", exposure_id="x0"),
        did("e1", 1, "b", exposure_id="x1", **refused),
        did("e2", 1, "c", exposure_id="x2"),
    )
    store(slate("x3", unit_kind=None, unit_key=None, user_key=None, anonymous_key=None))
    store(did("e3", 1, "d", exposure_id="x3", **refused))
    with closing(open_rollup(path)) as sums:
        clicked = sums.execute(
            "SELECT key, n_clicked FROM units JOIN keys ON id = unit ORDER BY key"
        ).fetchall()
        reached = sums.execute(
            "SELECT exposure_seq FROM reached WHERE stage = 1 ORDER BY 1"
        ).fetchall()
    assert [tuple(row) for row in clicked] == [("a", 1), ("b", 0), ("c", 1)]
    assert [seq for (seq,) in reached] == [1, 2, 3, 4]
    told = [read_person(path, "user_id", who, 9).reached for who in "ab"]
    assert told == [{1: {1}}, {2: set()}]
    store(did("e4", 1, "b", exposure_id="x1"))
    by_steps = read_outcomes(path, "r")
    assert sum(arm.n_clicked for arm in by_steps.arms) == 3
    assert by_steps == anew(path)


def test_event_waits_a_moment_for_the_exposure_that_it_names(path: EventLog, store: Store) -> None:
    """Another worker stored the page's click first: it counts, once the page is there too.

    What follows it waits as well, for sums go by the order of the log; what names nothing that
    comes within two seconds, either side of the clock, is taken as it is.
    """
    store(shown("x1", "a"), did("e1", 1, "a", exposure_id="x1"))
    store(did("e2", 1, "b", exposure_id="x2"), did("e3", 3, "a"))
    sums = open_rollup(path, max_new=0)
    assert not add_new(sums, 1_000, now_ms=4_000)
    assert count_waiting(sums) == 2
    assert not add_new(sums, 1_000, now_ms=0)
    assert count_waiting(sums) == 2
    store(shown("x2", "b"))
    add_new(sums, 1_000, now_ms=4_000)
    assert count_waiting(sums) == 0
    store(did("e4", 1, "b", exposure_id="never"))
    add_new(sums, 1_000, now_ms=4_000)
    assert count_waiting(sums) == 1
    add_new(sums, 1_000, now_ms=4_001)
    assert count_waiting(sums) == 0
    sums.close()
    [arm] = read_outcomes(path, "r").arms
    assert (arm.n_units, arm.n_clicked) == (2, 2)


class Interrupted:
    """A connection beside which somebody commits right after the exposures are added up."""

    def __init__(self, connection: Database, interrupt: Callable[[], None]) -> None:
        self._connection = connection
        self._interrupt = interrupt

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, sql: str, parameters: Any = ()) -> Rows:
        rows = self._connection.execute(sql, parameters)
        if sql.startswith("UPDATE progress") and parameters[1] == "exposures":
            self._interrupt()
        return rows


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
def test_click_that_comes_while_exposures_are_added_up_is_counted(
    path: EventLog, store: Store
) -> None:
    """Its exposure came too, and is not added up yet: it waits for that, also after two seconds.

    A transaction of SQLite sees one moment, so there it cannot be.
    """
    store(shown("x1", "a"))
    sums = open_rollup(path, max_new=0)
    between = Interrupted(
        sums, lambda: store(shown("x2", "b"), did("e1", 1, "b", exposure_id="x2"))
    )
    add_new(cast("Database", between), 1_000, now_ms=9_000)
    assert count_waiting(sums) == 2
    add_new(sums, 1_000, now_ms=9_000)
    assert count_waiting(sums) == 0
    sums.close()
    [arm] = read_outcomes(path, "r").arms
    assert (arm.n_units, arm.n_clicked) == (2, 1)


@pytest.mark.parametrize("now_ms", [2_000, 9_000])
def test_event_waits_for_an_exposure_that_is_not_added_up_yet(
    path: EventLog, store: Store, now_ms: int
) -> None:
    """Of two clicks the second one's exposure is after the bound: only the first is settled."""
    store(shown("x1", "a"), shown("x2", "b"))
    clicks = [did(f"e{n}", 1, unit, exposure_id=f"x{n}") for n, unit in ((1, "a"), (2, "b"))]
    store(*clicks)
    sums = open_rollup(path, max_new=0)
    assert last_settled(sums, 0, 2, now_ms, shown=1) == 1
    assert last_settled(sums, 0, 2, now_ms, shown=2) == 2
    assert last_settled(sums, 0, 2, now_ms) == 2
    sums.close()


def test_bounded_report_says_what_it_leaves_out(path: EventLog, store: Store) -> None:
    """Of five rows two are added: three wait."""
    store(*(shown(f"x{i}", f"u{i}") for i in range(4)), did("e", 3, "u1"))
    sums = read_outcomes(path, "r", max_new=2)
    assert (sums.arms[0].n_exposures, sums.n_waiting) == (2, 3)


@in_a_file
def test_report_costs_by_orders_where_units_bought_before(
    path: EventLog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight times the units and orders take the database some eight times the steps, not 64."""
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    def opened(*args: object, **kwargs: object) -> Database:
        connection = open_rollup(*args, **kwargs)  # type: ignore[arg-type]  # handed through
        assert isinstance(connection, SqliteConnection)
        connection.set_progress_handler(count, 100)
        return connection

    def cost(first: int, end: int) -> int:
        store(*(shown(f"x{i}", f"u{i}", at_ms=5_000) for i in range(first, end)))
        store(*(did(f"e{i}", 3, f"u{i}") for i in range(first, end)))
        assert read_outcomes(path, "r").arms[0].n_bought_before == end
        steps[0] = 0
        read_outcomes(path, "r")
        return steps[0]

    monkeypatch.setattr(outcomes, "open_rollup", opened)
    few = cost(0, 100)
    assert cost(100, 800) < 16 * few


@in_a_file
def test_crash_in_a_step_costs_that_step(path: EventLog, store: Store) -> None:
    """A step that is cut off in the middle leaves nothing behind, and the next one is right."""
    store(*(shown(f"x{i}", f"u{i}") for i in range(50)), did("e", 1, "u1", exposure_id="x1"))
    connection = open_rollup(path, max_new=0)
    assert isinstance(connection, SqliteConnection)
    for n_calls in (1, 3, 9):
        calls = iter([0] * n_calls + [1])
        connection.set_progress_handler(partial(next, calls, 1), 200)
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            add_new(connection, 1_000)
        connection.set_progress_handler(None, 0)
        assert count_waiting(connection) == 51
    connection.close()
    assert read_outcomes(path, "r") == anew(path)


def test_steps_wait_for_no_writer_and_let_none_wait(path: EventLog, store: Store) -> None:
    """While another process holds the event store's write lock, sums are added up."""
    store(shown("x1", "a"))
    lock = connect(path)
    lock.execute("BEGIN IMMEDIATE")
    assert read_outcomes(path, "r").arms[0].n_units == 1
    lock.execute("ROLLBACK")
    reader = open_rollup(path, max_new=0)
    reader.execute("BEGIN IMMEDIATE")
    store(shown("x2", "b"))
    reader.execute("ROLLBACK")
    reader.close()
    lock.close()


def test_late_rows_are_put_where_they_belong(path: EventLog, store: Store) -> None:
    """A late exposure may be a unit's first, and a late order belongs to the epoch of its time."""
    store(shown("x2", "a", at_ms=5_000, epoch=2))
    assert [arm.epoch for arm in read_outcomes(path, "r").arms] == [2]
    store(did("o2", 3, "a", at_ms=6_000), shown("x1", "a", at_ms=1_000))
    store(did("o1", 3, "a", at_ms=4_999))
    store(shown("x0", "a", at_ms=4_000, epoch=2, variant="personal"))
    sums = read_outcomes(path, "r")
    found = [(arm.epoch, arm.variant, arm.n_units, arm.n_orders) for arm in sums.arms]
    # x0 came before x2, so in epoch 2 the unit is personal, and what it bought then counts there.
    assert found == [(1, "control", 1, 0), (2, "personal", 1, 2)]
    assert sums == anew(path)


def test_identity_that_comes_late_moves_the_order(path: EventLog, store: Store) -> None:
    """An order of user u counts for visitor v as soon as it is known that they are one."""
    store(slate("x", unit_kind="anonymous_id", unit_key="v", user_key=None, anonymous_key="v"))
    store(did("o", 3, "u"))
    assert read_outcomes(path, "r").arms[0].n_buyers == 0
    connection = connect(path)
    connection.execute(
        "INSERT INTO identities (user_key, unit_kind, unit_key, at_ms) "
        "VALUES ('u', 'anonymous_id', 'v', 3)"
    )
    connection.close()
    assert read_outcomes(path, "r").arms[0].n_buyers == 1


def test_erased_unit_leaves_the_arms(path: EventLog, store: Store) -> None:
    """After an erasure arms and people are as if the unit had never been; nothing holds its key."""
    rng = np.random.default_rng(5)
    store(*history(rng, 200))
    read_outcomes(path, "r")
    delete_rows(path, ["u3", "u4"])
    assert erase_units(path, ["u3", "u4", "stranger"]) > 0
    sums = read_outcomes(path, "r")
    whole = anew(path)
    # Clicks by unit may have been put down before what they name went.
    assert [(arm[:5], arm[11:]) for arm in sums.arms] == [(arm[:5], arm[11:]) for arm in whole.arms]
    assert sums.people == whole.people
    assert erase_units(path, ["u3", "u4"]) == 0


def test_unit_is_erased_while_the_log_is_written(path: EventLog, store: Store) -> None:
    """The log is read-only here: what its store has yet to bring into its file is not folded."""
    store(shown("x1", "a"))
    read_outcomes(path, "r")
    store(shown("x2", "b"))
    assert erase_units(path, ["a"]) > 0
    assert [arm.n_units for arm in read_outcomes(path, "r").arms] == [1]


def test_unit_that_buys_in_two_epochs_is_one_buyer(path: EventLog, store: Store) -> None:
    """Two epochs, one unit, an order and a cart in each: one buyer, one carter, two orders."""
    store(shown("x1", "a"), shown("x2", "a", at_ms=3_000, epoch=2))
    store(*(did(f"o{t}", 3, "a", at_ms=t) for t in (2_000, 4_000)))
    store(*(did(f"c{t}", 2, "a", at_ms=t) for t in (2_000, 4_000)))
    sums = read_outcomes(path, "r")
    assert [arm.n_buyers for arm in sums.arms] == [1, 1]
    assert sums.people["control"] == (1, 0, 1, 1)


def test_one_keeper_works_and_the_next_takes_over(path: EventLog, store: Store) -> None:
    """The first has the lease; when it is gone the second goes on where it was."""
    store(*(shown(f"x{i}", f"u{i}") for i in range(3)))
    first, second = (RollupKeeper(path, step_rows=2) for _ in range(2))
    assert first.step()
    assert not second.step()
    first.give_back()
    assert not second.step()
    second.give_back()
    sums = read_outcomes(path, "r", max_new=0)
    assert (sums.arms[0].n_units, sums.n_waiting) == (3, 0)


def test_keeper_waits_for_nobody(path: EventLog, store: Store) -> None:
    """While a report adds up itself the keeper does nothing, and goes on afterwards."""
    store(shown("x1", "a"))
    keeper = RollupKeeper(path)
    report = open_rollup(path, max_new=0)
    report.execute("BEGIN IMMEDIATE")
    assert not keeper.step()
    report.execute("ROLLBACK")
    report.close()
    assert not keeper.step()
    keeper.give_back()
    assert read_outcomes(path, "r", max_new=0).n_waiting == 0


def test_keeper_thread_stops(path: EventLog, store: Store) -> None:
    """It ends when it is told to, and leaves the lease to others."""
    keeper = RollupKeeper(path, poll_s=0.001)
    keeper.start()
    keeper.close()
    lease = FileLease(path.with_name("rollup.lease"))
    assert lease.take()
    assert lease.take()
    lease.give_back()


@in_a_file
def test_unreadable_sums_are_told(path: EventLog) -> None:
    """The message names the file."""
    path.with_name(ROLLUP_FILE).write_text("no database, " * 100)
    with pytest.raises(StoreError, match=r"rollup\.sqlite"):
        read_outcomes(path, "r")


def test_outdated_sums_are_made_anew(
    path: EventLog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another version is replaced, not read."""
    store(shown("x1", "a"))
    first = read_outcomes(path, "r")
    monkeypatch.setattr(rollup_tables, "VERSION", rollup_tables.VERSION + 1)
    assert read_outcomes(path, "r") == first
