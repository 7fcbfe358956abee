"""Group commit over real files: verdicts, backpressure, a locked and a full store, draining."""

import asyncio
import errno
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from models.errors import CapacityError, StoreError
from service.stores.event_database import connect
from service.stores.event_tables import reported
from service.stores.events import Batch, Committed
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import Bench, slate, view


def with_bench(
    home: Path, use: Callable[[Bench], Coroutine[Any, Any, None]], **options: Any
) -> Bench:
    """Run a coroutine against a started writer, and close it."""
    bench = Bench(home, **options)
    bench.writer.start()
    try:
        asyncio.run(use(bench))
    finally:
        bench.writer.close(5.0)
    return bench


def column(path: Path, query: str) -> list[Any]:
    """Read one column with another connection, as another program would."""
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute(query)]
    finally:
        connection.close()


def ledger(path: Path) -> dict[str, int]:
    """Read the durable counters, summed over writers."""
    connection = sqlite3.connect(path)
    try:
        return dict(connection.execute("SELECT name, sum(value) FROM counters GROUP BY name"))
    finally:
        connection.close()


def test_events_are_on_disk_when_submit_returns(tmp_path: Path) -> None:
    """A second connection sees every event, and serving was told of them, before the answer."""

    async def use(bench: Bench) -> None:
        assert await bench.events.submit([view("a"), view("b")], n_received=2) == [True, True]
        assert column(bench.path, "SELECT event_id FROM events ORDER BY seq") == ["a", "b"]
        assert [(n.seq, n.event.event_id) for n in bench.added] == [(1, "a"), (2, "b")]

    with_bench(tmp_path, use)


def test_repeats_are_told_and_stored_once(tmp_path: Path) -> None:
    """Repeats inside a batch, between concurrent batches and after a commit are duplicates."""

    async def use(bench: Bench) -> None:
        assert await bench.events.submit([view("a"), view("a")], n_received=2) == [True, False]
        answers = await asyncio.gather(
            *(bench.events.submit([view("a"), view("b")], n_received=2) for _ in range(20))
        )
        assert all(first is False for first, _ in answers)
        assert sum(second for _, second in answers) == 1

    bench = with_bench(tmp_path, use)
    assert column(bench.path, "SELECT event_id FROM events") == ["a", "b"]
    expected = {"received": 42, "accepted": 2, "duplicate": 40}
    assert ledger(bench.path) == expected
    assert +bench.counts == expected


def test_rejected_events_are_in_the_ledger(tmp_path: Path) -> None:
    """Three came, one was wrong: received is accepted plus rejected."""

    async def use(bench: Bench) -> None:
        await bench.events.submit([view("a"), view("b")], n_received=3, n_rejected=1)

    bench = with_bench(tmp_path, use)
    assert ledger(bench.path) == {"received": 3, "accepted": 2, "rejected": 1}


def test_exposures_are_stored_without_anyone_waiting(tmp_path: Path) -> None:
    """All that was put is on disk after closing, in order, and counted as stored only then."""

    async def use(bench: Bench) -> None:
        assert all(bench.exposures.put(slate(f"x{i}")) for i in range(500))

    bench = with_bench(tmp_path, use)
    ids = column(bench.path, "SELECT exposure_id FROM exposures ORDER BY seq")
    assert ids == [f"x{i}" for i in range(500)]
    expected = {"served": 500, "assigned": 500, "stored": 500}
    assert +bench.counts == expected
    assert ledger(bench.path) == expected
    assert column(bench.path, "SELECT closed_ms FROM writers") == [2]


def test_exposures_are_stored_though_nothing_wakes_the_writer(tmp_path: Path) -> None:
    """No event comes and nothing stops: the writer looks by itself."""
    stored = threading.Event()
    bench = Bench(tmp_path, linger_s=0.01)
    count = bench.count

    def noting(name: str, n: int) -> None:
        count(name, n)
        if name == "stored" and n:
            stored.set()

    bench.writer._count = noting
    bench.writer.start()
    bench.exposures.put(slate("x"))
    assert stored.wait(10.0)
    assert column(bench.path, "SELECT exposure_id FROM exposures") == ["x"]
    assert bench.writer.close(5.0)


def test_event_takes_what_was_shown_before_it_to_the_disk(tmp_path: Path) -> None:
    """However long exposures may gather, a click is never there before what was clicked."""

    async def use(bench: Bench) -> None:
        bench.exposures.put(slate("x"))
        await bench.events.submit([view("a", kind=1, exposure_id="x")], n_received=1)
        assert column(bench.path, "SELECT exposure_id FROM exposures") == ["x"]

    with_bench(tmp_path, use, linger_s=3_600.0)


def test_exposure_keeps_every_field(tmp_path: Path) -> None:
    """The row has the exposure's fields by name, and what was shown as JSON."""

    async def use(bench: Bench) -> None:
        bench.exposures.put(slate("x", country="AE", degraded="no_model"))

    bench = with_bench(tmp_path, use)
    connection = sqlite3.connect(bench.path)
    connection.row_factory = sqlite3.Row
    row = dict(connection.execute("SELECT * FROM exposures").fetchone())
    connection.close()
    assert row["country"] == "AE"
    assert row["degraded"] == "no_model"
    assert row["epoch"] == 1
    assert row["shown"] == (
        '[{"id":"p1","position":1,"source":"graph","propensity":1.0},'
        '{"id":"p2","position":2,"source":"graph","propensity":1.0}]'
    )


def test_full_exposure_queue_drops_and_counts(tmp_path: Path) -> None:
    """With room for two, two of five are kept; the other three are counted, live and on disk."""
    bench = Bench(tmp_path, max_pending=2)
    assert [bench.exposures.put(slate(f"x{i}")) for i in range(5)] == [True, True] + [False] * 3
    bench.writer.start()
    bench.writer.close(5.0)
    expected = {"served": 5, "assigned": 2, "dropped": 3, "stored": 2}
    assert ledger(bench.path) == expected
    assert +bench.counts == expected


def test_queue_says_that_it_is_crowded_before_it_is_full(tmp_path: Path) -> None:
    """At more than half of what may wait; a page then lets the writer thread work."""
    bench = Bench(tmp_path, max_pending=4)
    told = []
    for number in range(3):
        bench.exposures.put(slate(f"x{number}"))
        told.append(bench.exposures.is_crowded)
    assert told == [False, False, True]
    bench.writer.start()
    bench.writer.close(5.0)
    assert not bench.exposures.is_crowded


def test_exposures_are_stored_once_however_many_come(tmp_path: Path) -> None:
    """169 are a block of each size; a repeat among them is none the more."""
    bench = Bench(tmp_path)
    for number in (*range(169), 5):
        bench.exposures.put(slate(f"x{number}"))
    bench.writer.start()
    bench.writer.close(5.0)
    assert ledger(bench.path)["stored"] == 169


def test_full_event_buffer_refuses_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    """While another process holds the lock the buffer fills; what it took in is stored later."""

    async def use(bench: Bench) -> None:
        other = connect(bench.path)
        other.execute("BEGIN IMMEDIATE")
        first = asyncio.create_task(
            bench.events.submit([view(f"a{i}") for i in range(8)], n_received=8)
        )
        await asyncio.sleep(0)
        with pytest.raises(CapacityError, match="8 events wait for the disk, and at most 10 may"):
            await bench.events.submit([view(f"b{i}") for i in range(3)], n_received=3)
        other.execute("ROLLBACK")
        other.close()
        assert await first == [True] * 8
        assert await bench.events.submit([view("c")], n_received=1) == [True]

    bench = with_bench(tmp_path, use, max_pending=10)
    assert len(column(bench.path, "SELECT event_id FROM events")) == 9


def test_full_disk_refuses_events_and_keeps_exposures(tmp_path: Path) -> None:
    """No room: events are refused, never half stored; with room again everything that waited is."""

    def small(path: Path) -> SqliteEventStore:
        store = SqliteEventStore(path, opened_ms=1)
        n_pages = store._tables.connection.execute("PRAGMA page_count").fetchone()[0]
        store._tables.connection.execute(f"PRAGMA max_page_count = {n_pages}")
        return store

    async def use(bench: Bench) -> None:
        many = [view(f"e{i}") for i in range(400)]
        bench.exposures.put(slate("x" * 200))
        with pytest.raises(CapacityError, match="disk of the event store is full"):
            await bench.events.submit(many, n_received=400)
        assert column(bench.path, "SELECT count(*) FROM events") == [0]
        assert isinstance(bench.store, SqliteEventStore)
        bench.store._tables.connection.execute("PRAGMA max_page_count = 100000")
        assert await bench.events.submit(many, n_received=400) == [True] * 400

    bench = with_bench(tmp_path, use, store=small)
    assert column(bench.path, "SELECT count(*) FROM exposures") == [1]
    assert ledger(bench.path)["received"] == 400


@pytest.mark.parametrize(
    ("number", "kind", "why"),
    [
        (errno.ENOSPC, CapacityError, "disk of the event store is full"),
        (errno.EIO, StoreError, "cannot be written: .* odd"),
    ],
)
def test_filter_that_cannot_grow_keeps_exposures(
    tmp_path: Path, number: int, kind: type[Exception], why: str
) -> None:
    """The file beside the store has no room: that is no fault of values, so nothing is dropped."""

    def refuse(*_: object) -> None:
        raise OSError(number, "odd")

    async def use(bench: Bench) -> None:
        assert isinstance(bench.store, SqliteEventStore)
        bench.exposures.put(slate("x"))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(bench.store._tables._filter, "note", refuse)
            with pytest.raises(kind, match=why):
                await bench.events.submit([view("a"), view("b")], n_received=2)
        assert await bench.events.submit([view("a")], n_received=1) == [True]

    bench = with_bench(tmp_path, use)
    assert column(bench.path, "SELECT exposure_id FROM exposures") == ["x"]
    assert bench.counts["dropped"] == 0


def test_damaged_file_refuses_events_and_keeps_exposures(tmp_path: Path) -> None:
    """A damaged file is no fault of the values: nothing is dropped, and the refusal says why."""

    class Damaged(SqliteEventStore):
        is_damaged = True

        def commit(self, batch: Batch) -> Committed:
            if self.is_damaged:
                error = sqlite3.DatabaseError("database disk image is malformed")
                error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                with reported():
                    raise error
            return super().commit(batch)

    async def use(bench: Bench) -> None:
        bench.exposures.put(slate("x"))
        with pytest.raises(StoreError, match="cannot be written: database disk image is malformed"):
            await bench.events.submit([view("e1"), view("e2")], n_received=2)
        bench.store.is_damaged = False  # type: ignore[attr-defined]  # of the class above

    bench = with_bench(tmp_path, use, store=lambda path: Damaged(path, opened_ms=1))
    assert column(bench.path, "SELECT exposure_id FROM exposures") == ["x"]
    assert bench.counts["dropped"] == 0


def test_value_that_cannot_be_stored_takes_no_other_with_it(tmp_path: Path) -> None:
    """An integer beyond 64 bits fails alone; events and exposures of the same group are kept."""
    bench = Bench(tmp_path)

    async def use() -> None:
        good = asyncio.create_task(bench.events.submit([view("good")], n_received=1))
        bad = asyncio.create_task(bench.events.submit([view("bad", at_ms=2**70)], n_received=1))
        bench.exposures.put(slate("x"))
        bench.exposures.put(slate("y", at_ms=2**70))
        await asyncio.sleep(0)
        bench.writer.start()
        assert await good == [True]
        with pytest.raises(StoreError, match="cannot be stored"):
            await bad

    asyncio.run(use())
    bench.writer.close(5.0)
    assert column(bench.path, "SELECT event_id FROM events") == ["good"]
    assert column(bench.path, "SELECT exposure_id FROM exposures") == ["x"]
    assert bench.counts["dropped"] == 1


def test_events_are_acknowledged_even_if_serving_cannot_take_them_in(tmp_path: Path) -> None:
    """What is stored is told, whatever a listener does."""

    async def use(bench: Bench) -> None:
        bench.writer._on_commit = lambda _: 1 / 0  # type: ignore[assignment]  # it is meant to fail
        assert await bench.events.submit([view("a")], n_received=1) == [True]

    with_bench(tmp_path, use)


def test_closed_writer_refuses(tmp_path: Path) -> None:
    """After closing nothing is taken in that nobody would write."""
    bench = Bench(tmp_path)
    bench.writer.start()
    assert bench.writer.close(5.0)
    with pytest.raises(CapacityError, match="stopping"):
        asyncio.run(bench.events.submit([view("a")], n_received=1))


def test_page_that_is_answered_last_is_in_the_account(tmp_path: Path) -> None:
    """What is shown once nobody writes any more is noted outside of the store, each slate once."""
    bench = Bench(tmp_path)
    bench.writer.start()
    bench.exposures.put(slate("stored"))
    assert bench.writer.close(5.0)
    bench.exposures.put(slate("between"))
    bench.exposures.close(bench.writer.keep_account)
    assert bench.exposures.put_all([slate("late"), slate("later")]) == 0
    assert bench.lost == [
        {"served": 1, "assigned": 0, "dropped": 1},
        {"served": 2, "assigned": 0, "dropped": 2},
    ]
    assert ledger(bench.path)["served"] == 1
    assert bench.counts["served"] == 4


def test_exposure_that_cannot_be_packed_is_lost_once(tmp_path: Path) -> None:
    """It is dropped when the service stops before anything was written, as is the one beside it."""
    bench = Bench(tmp_path, packs=True, linger_s=60)
    bench.exposures.put_all([slate("x"), slate("y", page="\ud800")])
    bench.writer.start()
    bench.writer.close(0.0)
    assert (bench.counts["served"], bench.counts["dropped"]) == (2, 2)
    counted = ledger(bench.path)
    assert (counted["served"], counted["dropped"]) == (2, 2)


def test_lock_held_past_the_deadline_is_told_not_hidden(tmp_path: Path) -> None:
    """Closing against a lock ends in time: events are refused and exposures counted as dropped,
    outside of the store that takes no counts either."""
    bench = Bench(tmp_path)
    other = connect(bench.path)
    other.execute("BEGIN IMMEDIATE")
    bench.exposures.put(slate("x"))

    async def use() -> None:
        waiting = asyncio.create_task(bench.events.submit([view("a")], n_received=1))
        await asyncio.sleep(0)
        bench.writer.start()
        await asyncio.to_thread(bench.writer.close, 0.1)
        with pytest.raises(CapacityError):
            await waiting

    asyncio.run(use())
    other.execute("ROLLBACK")
    other.close()
    assert bench.counts["dropped"] == 1
    assert bench.counts["stored"] == 0
    assert bench.lost == [{"served": 1, "assigned": 0, "dropped": 1}]
