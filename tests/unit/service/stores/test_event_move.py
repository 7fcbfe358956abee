"""A machine's log goes into the database that several machines share: all of it, once."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from models.errors import ConfigError, ConflictError, EndcapError
from service.reports.rollup_keeper import RollupKeeper
from service.stores import event_move
from service.stores.archiving import archive_old_days
from service.stores.days import read_days
from service.stores.event_database import connect, open_event_database, stop_listening
from service.stores.event_ledger import Reconciliation, reconcile
from service.stores.event_log import EventLog, PostgresLog
from service.stores.event_move import describe, move_events
from service.stores.event_schema import metadata
from service.stores.events import Batch
from service.stores.opening import open_event_store
from service.stores.outcomes import read_outcomes
from service.stores.personal_rows import read_rows
from service.stores.retention import DAY_MS
from tests.unit.service.intake.samples import slate, view

NOW_MS = 100 * DAY_MS
OLD, NEW = 10 * DAY_MS, 95 * DAY_MS
TABLES = ("events", "exposures", "identities", "unit_links")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of two writers with 30 rows of events, a repeat, old and new exposures, an identity."""
    home = tmp_path / "home"
    home.mkdir()
    path = open_event_database(home)
    for n, at_ms in enumerate((OLD, NEW)):
        events = [
            view(f"e{n}-{i}", kind=i % 4, at_ms=at_ms + i, received_ms=at_ms + i, price=2.5)
            for i in range(15)
        ]
        write(path, Batch([*events, events[0]], [slate(f"x{n}é", at_ms=at_ms, candidates=())]))
    with closing(connect(path)) as connection:
        connection.execute(
            "INSERT INTO identities (user_key, unit_kind, unit_key, at_ms) "
            "VALUES ('u', 'anonymous_id', 'v', 3)"
        )
        connection.execute(
            "INSERT INTO unit_links (unit_key, other_kind, other_key, at_ms) "
            "VALUES ('u', 'anonymous_id', 'v', 3)"
        )
    return path


@pytest.fixture
def target(postgres_url: str, path: Path) -> Iterator[PostgresLog]:
    """An empty database."""
    log = PostgresLog(postgres_url, path.parent)
    yield log
    stop_listening(log)


def write(log: EventLog, batch: Batch) -> list[bool]:
    """Write a batch as one process that comes and goes."""
    n_events, n_shown = len(batch.events), len(batch.exposures)
    batch.counts.update({"received": n_events, "served": n_shown, "assigned": n_shown})
    store = open_event_store(log, opened_ms=1)
    done = store.commit(batch)
    store.close(2)
    return done.is_new


def content(log: EventLog) -> dict[str, list[tuple[object, ...]]]:
    """Read every row of every table that lasts."""
    with closing(connect(log)) as connection:
        found = {
            table: connection.execute(
                f"SELECT {', '.join(metadata.tables[table].columns.keys())} FROM {table} "
                "ORDER BY seq"
            ).fetchall()
            for table in TABLES
        }
        found["writers"] = connection.execute(
            "SELECT writer_id, pid, opened_ms, closed_ms FROM writers ORDER BY writer_id"
        ).fetchall()
        return found


def figures(log: EventLog) -> list[object]:
    """Read what reports are made of; no order is promised."""
    sums, days = read_outcomes(log, "r"), read_days(log, 0, 100)
    values = [getattr(of, name) for of in (sums, days) for name in of._fields]
    return [sorted(map(str, one)) if isinstance(one, list) else one for one in values]


def ledger(log: EventLog) -> Reconciliation:
    """Read the ledger, which has to add up."""
    found = reconcile(log)
    assert found.is_balanced, found.differences
    return found


def test_everything_goes_along(path: Path, target: PostgresLog) -> None:
    """Rows with their numbers, writers, ledger and reports are the same; repeats are known, new
    rows have new numbers, and the home keeps its own."""
    before, sums, books = content(path), figures(path), ledger(path)
    told: dict[str, int] = {}
    moved = move_events(path.parent, target, tell=told.__setitem__)
    assert moved.copied == 34
    assert moved.rows == {
        "events": 30, "exposures": 2, "identities": 1, "unit_links": 1, "writers": 2,
        "counters": len(before["writers"]) * 6,
    }  # fmt: skip
    assert told == {"events": 30, "exposures": 2, "identities": 1, "unit_links": 1}
    assert content(target) == before == content(path)
    assert (figures(target), ledger(target)) == (sums, books)
    assert "30 events" in describe(moved, path.parent)
    assert write(target, Batch([view("e0-3"), view("new")], [slate("x9")])) == [False, True]
    *moved_rows, new = content(target)["events"]
    assert moved_rows == before["events"]
    assert int(str(new[0])) > 30
    assert ledger(target).duplicate == books.duplicate + 1


def test_text_that_only_a_file_takes_goes_along(path: Path, target: PostgresLog) -> None:
    """A NUL in a country, as older releases stored it, becomes a mark; one ended every move."""
    write(path, Batch([view("nul", country="D\0E")], [slate("x9", page="\0")]))
    move_events(path.parent, target)
    with closing(connect(target)) as connection:
        run = connection.execute
        assert run("SELECT country FROM events WHERE event_id = 'nul'").fetchone() == ("D\ufffdE",)
        assert run("SELECT page FROM exposures WHERE exposure_id = 'x9'").fetchone() == ("\ufffd",)
    assert ledger(target) == ledger(path)


def test_archived_days_go_along(path: Path, target: PostgresLog) -> None:
    """Half of the log lies in Parquet files; in the database all of it is rows again."""
    before, sums, person = content(path), figures(path), read_rows(path, ["u"])
    assert archive_old_days(path, 30, now_ms=NOW_MS) == {"events": 15, "exposures": 1}
    move_events(path.parent, target)
    assert content(target) == before
    assert figures(target) == sums
    assert read_rows(target, ["u"]) == person
    found = ledger(target)
    assert (found.event_rows, found.archived_events, found.accepted) == (30, 0, 30)
    assert not list(path.parent.glob(f"{event_move.DRAFT_FILE}*"))


@pytest.mark.parametrize("is_archived", [False, True])
def test_move_that_is_cut_off_goes_on(
    path: Path, target: PostgresLog, monkeypatch: pytest.MonkeyPatch, is_archived: bool
) -> None:
    """After any block; the next run copies the rest, and one after it nothing."""
    before = content(path)
    if is_archived:
        archive_old_days(path, 30, now_ms=NOW_MS)
    monkeypatch.setattr(event_move, "BLOCK_ROWS", 7)
    for n_blocks in (1, 2, 3):
        told: list[int] = []

        def cut(_table: str, _n: int, told: list[int] = told, last: int = n_blocks) -> None:
            told.append(1)
            if len(told) == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            move_events(path.parent, target, tell=cut)
        assert not reconcile(target).is_balanced
    n_there = sum(len(rows) for rows in copied(target).values())
    assert move_events(path.parent, target).copied == 34 - n_there < 34
    assert content(target) == before
    assert move_events(path.parent, target).copied == 0
    ledger(target)


def copied(target: PostgresLog) -> dict[str, list[tuple[object, ...]]]:
    """Read the rows that have come so far."""
    return {table: rows for table, rows in content(target).items() if table in TABLES}


def test_database_with_another_log_is_refused(path: Path, target: PostgresLog) -> None:
    """Whole or begun, and nothing is written into it; nor is a home that went on moved twice."""
    open_event_database(target.home, target.url)
    write(target, Batch([view("theirs")]))
    with pytest.raises(ConflictError, match="holds another log"):
        move_events(path.parent, target)
    with psycopg.connect(target.url) as connection:
        connection.execute("DELETE FROM log.writers")
        connection.execute("DELETE FROM log.counters")
    with pytest.raises(ConflictError, match="holds another log"):
        move_events(path.parent, target)
    assert [row[1] for row in content(target)["events"]] == ["theirs"]


def test_home_that_went_on_is_not_moved_twice(path: Path, target: PostgresLog) -> None:
    """What came to it later would have numbers that others have."""
    move_events(path.parent, target)
    write(path, Batch([view("later")]))
    with pytest.raises(ConflictError, match="this home went on"):
        move_events(path.parent, target)


def test_home_of_a_running_server_is_refused(path: Path, target: PostgresLog) -> None:
    """It would lose what is written meanwhile; a home without a log has nothing to move."""
    keeper = RollupKeeper(path, poll_s=3_600)
    keeper.start()
    try:
        with pytest.raises(ConfigError, match="a server runs on"):
            move_events(path.parent, target)
    finally:
        keeper.close()
    assert move_events(path.parent, target).copied == 34
    with pytest.raises(ConfigError, match=r"there is no .*events\.sqlite"):
        move_events(path.parent.parent, target)


def test_nobody_writes_while_rows_move(path: Path, target: PostgresLog) -> None:
    """Neither into the file nor into the database: both say that they are locked."""
    open_event_database(target.home, target.url)

    def try_both(*_: object) -> None:
        for log in (path, target):
            store = open_event_store(log, opened_ms=1, busy_timeout_ms=20)
            with pytest.raises(EndcapError, match="locked by another process"):
                store.commit(Batch([view("beside")]))
            store.abandon()

    move_events(path.parent, target, tell=try_both)
    assert "beside" not in str(content(target))
