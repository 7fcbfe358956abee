"""One suite for the port `EventStore`, run on each store."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from service.exposure import Candidate
from service.stores.event_database import connect
from service.stores.event_ledger import reconcile
from service.stores.event_log import EventLog
from service.stores.events import Batch, EventStore, StoreBusyError
from service.stores.lost_counts import LOST_FILE, note_lost
from service.stores.opening import open_event_store
from tests.unit.service.intake.samples import slate, view

OpenStore = Callable[[], EventStore]


@pytest.fixture
def open_store(event_log: EventLog) -> Iterator[OpenStore]:
    """Return a function that opens one more writer of the store."""
    opened: list[EventStore] = []

    def open_one() -> EventStore:
        opened.append(open_event_store(event_log, opened_ms=1, busy_timeout_ms=20))
        return opened[-1]

    yield open_one
    for store in opened:
        with suppress(ValueError, OSError):  # the test has closed it
            store.abandon()


def rows(log: EventLog, query: str) -> list[Any]:
    """Ask the store with a connection of our own."""
    connection = connect(log)
    try:
        return [tuple(row) for row in connection.execute(query)]
    finally:
        connection.close()


def ledger(log: EventLog) -> dict[str, int]:
    """Add up the durable counters."""
    return dict(rows(log, "SELECT name, sum(value) FROM counters GROUP BY name"))


def test_event_store_keeps_every_column(event_log: EventLog, open_store: OpenStore) -> None:
    """An event comes back as it went in: a whole number as price, text of any script, no value."""
    event = view(
        "e",
        kind=3,
        at_ms=1_767_225_600_123,
        user_key=None,
        anonymous_key="ключ",
        item_id="it's 100 % 'é' ?",
        price=7,
        quantity=0.1,
        flags=1,
    )
    open_store().commit(Batch([event]))
    columns = ", ".join(event._fields)
    assert rows(event_log, f"SELECT {columns} FROM events") == [tuple(event)]


def test_event_store_keeps_an_exposure(event_log: EventLog, open_store: OpenStore) -> None:
    """What JSON holds is the same text in each store, and a mark is a number."""
    shown = slate("x", crossover=True, candidates=(Candidate("b1", 0.5, "new"),), epoch=None)
    open_store().commit(Batch(exposures=[shown, slate("y")]))
    query = "SELECT exposure_id, epoch, crossover, candidates, shown FROM exposures ORDER BY seq"
    items = (
        '[{"id":"p1","position":1,"source":"graph","propensity":1.0},'
        '{"id":"p2","position":2,"source":"graph","propensity":1.0}]'
    )
    assert rows(event_log, query) == [
        ("x", None, 1, '[["b1",0.5,"new"]]', items),
        ("y", 1, 0, None, items),
    ]


def test_event_store_stores_a_repeat_once(event_log: EventLog, open_store: OpenStore) -> None:
    """Repeats in a batch, of another writer and of exposures; the first of them is what is kept."""
    one, other = open_store(), open_store()
    done = one.commit(Batch([view("a", item_id="p1"), view("b"), view("a", item_id="p2")]))
    assert done.is_new == [True, True, False]
    assert [(n.event.event_id, n.event.item_id) for n in done.added] == [("a", "p1"), ("b", "p1")]
    again = other.commit(Batch([view("b"), view("c")], [slate("x"), slate("x")]))
    assert (again.is_new, again.n_exposures) == ([False, True], 1)
    assert [n.event.event_id for n in again.added] == ["c"]
    assert one.commit(Batch(exposures=[slate("x"), slate("y")])).n_exposures == 1
    numbered = rows(event_log, "SELECT seq, event_id FROM events ORDER BY seq")
    assert numbered == [(n.seq, n.event.event_id) for n in (*done.added, *again.added)]
    assert ledger(event_log) == {"accepted": 3, "duplicate": 2, "stored": 2}


def test_event_store_writes_all_or_nothing(event_log: EventLog, open_store: OpenStore) -> None:
    """A value that cannot be stored takes its batch with it, and the next one is stored."""
    store = open_store()
    odd = view("odd")._replace(at_ms=None)  # type: ignore[arg-type]  # what no edge lets through
    with pytest.raises(Exception, match=r"(?i)null"):
        store.commit(Batch([view("a"), odd], [slate("x")], {"received": 2}))
    assert rows(event_log, "SELECT 1 FROM events UNION SELECT 1 FROM exposures") == []
    assert ledger(event_log) == {}
    assert store.commit(Batch([view("a")], counts={"received": 1})).is_new == [True]


def test_event_store_tells_who_drained(event_log: EventLog, open_store: OpenStore) -> None:
    """A writer is noted with its first commit, and one that closes says when."""
    one, other = open_store(), open_store()
    one.commit(Batch([view("a")]))
    other.commit(Batch([view("b")]))
    one.close(7)
    query = "SELECT opened_ms, closed_ms FROM writers ORDER BY writer_id"
    assert rows(event_log, query) == [(1, 7), (1, None)]


def test_event_store_that_is_held_says_so(event_log: EventLog, open_store: OpenStore) -> None:
    """Another writer's transaction is waited for as long as was agreed; then the same goes in."""
    store, batch = open_store(), Batch([view("a")], counts={"received": 1})
    holder = connect(event_log)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError, match="locked"):
        store.commit(batch)
    holder.execute("ROLLBACK")
    holder.close()
    assert store.commit(batch).is_new == [True]
    assert ledger(event_log) == {"accepted": 1, "received": 1}


def test_event_store_numbers_in_the_order_of_commits(
    event_log: EventLog, open_store: OpenStore
) -> None:
    """Of writers at once: who sees a number has seen every smaller one before."""
    reader, seen = connect(event_log), list[int]()
    query = "SELECT seq FROM events WHERE seq > ? ORDER BY seq"
    done = threading.Event()

    def write(name: int) -> None:
        store = open_event_store(event_log, opened_ms=1, busy_timeout_ms=10_000)
        for turn in range(20):
            store.commit(Batch([view(f"{name}-{turn}-{place}") for place in range(5)]))
        store.close(2)

    writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for writer in writers:
        writer.start()
    while not done.is_set():
        if not any(writer.is_alive() for writer in writers):
            done.set()
        last = seen[-1] if seen else 0
        seen += [seq for (seq,) in reader.execute(query, (last,))]
    reader.close()
    assert seen == sorted(seen)
    assert len(seen) == 4 * 20 * 5


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
def test_postgres_store_lost_at_the_end_of_a_transaction_counts_once(
    event_log: EventLog, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server committed and nobody heard it: exposures that come again count no second time."""
    from models.errors import StoreError
    from service.stores.postgres import PostgresConnection

    store = open_store()
    batch = Batch([view("a")], [slate("x")], {"received": 1, "served": 1, "assigned": 1})
    with monkeypatch.context() as patched:
        patched.setattr(PostgresConnection, "execute", lost_at_commit(is_in=True))
        with pytest.raises(StoreError, match="gone"):
            store.commit(batch)
    # The shopper's browser sends its event again, and the writer offers the exposure again.
    done = store.commit(Batch([view("a")], [slate("x")], batch.counts))
    assert (done.is_new, done.n_exposures) == ([False], 0)
    store.close(2)
    assert ledger(event_log) == {
        "received": 2,
        "accepted": 1,
        "duplicate": 1,
        "served": 1,
        "assigned": 1,
        "stored": 1,
    }
    assert reconcile(event_log).unclosed_writers == 0


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("are_in", list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("stops", [True, False])
def test_postgres_store_lost_twice_counts_each_exposure_once(
    event_log: EventLog,
    open_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
    are_in: tuple[bool, bool],
    stops: bool,
) -> None:
    """The second transaction offers the exposure of the first again, and a new one."""
    from models.errors import StoreError
    from service.stores.postgres import PostgresConnection

    store = open_store()
    pages = [[slate("x")], [slate("x"), slate("y")]]
    for exposures, is_in in zip(pages, are_in, strict=True):
        n = len(exposures)
        with monkeypatch.context() as patched:
            patched.setattr(PostgresConnection, "execute", lost_at_commit(is_in=is_in))
            with pytest.raises(StoreError, match="gone"):
                store.commit(Batch([], exposures, {"served": n, "assigned": n}))
    if stops:  # the writer counts both as lost
        store.abandon()
        note_lost(event_log, {"served": 2, "assigned": 0, "dropped": 2}, 2)
        open_store().close(3)
    else:
        store.commit(Batch([], pages[1], {"served": 2, "assigned": 2}))
        store.close(3)
    found = reconcile(event_log)
    n_in = 2 if are_in[1] or not stops else int(are_in[0])
    assert (found.served, found.assigned, found.dropped) == (2, n_in, 2 - n_in)
    assert found.exposure_rows == found.stored == n_in
    assert found.unclosed_writers == (1 if stops and any(are_in) else 0)


def lost_at_commit(*, is_in: bool) -> Callable[..., object]:
    """Return an `execute` that loses the connection as a transaction ends, which got in or not."""
    import psycopg

    from service.stores.postgres import PostgresConnection

    run = PostgresConnection.execute

    def lose(self: PostgresConnection, sql: str, parameters: Any = (), /) -> object:
        if sql != "COMMIT":
            return run(self, sql, parameters)
        if is_in:
            run(self, sql)
        self.drop()
        raise psycopg.OperationalError("the connection is gone")

    return lose


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("is_in", [True, False])
def test_postgres_store_that_stops_in_doubt_has_each_exposure_in_the_ledger_once(
    event_log: EventLog, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, is_in: bool
) -> None:
    """Nobody heard whether two exposures got in, and the service stops: it counts them, one that

    was dropped before and one that came later as lost. The database knows better at the next start.
    """
    from models.errors import StoreError
    from service.stores.postgres import PostgresConnection

    store = open_store()
    two = [slate("x"), slate("y")]
    with monkeypatch.context() as patched:
        patched.setattr(PostgresConnection, "execute", lost_at_commit(is_in=is_in))
        with pytest.raises(StoreError, match="gone"):
            store.commit(Batch([], two, {"served": 3, "assigned": 2, "dropped": 1}))
    store.abandon()
    note_lost(event_log, {"served": 4, "assigned": 0, "dropped": 4}, 2)
    for _ in range(2):  # a second start finds nothing more to count
        open_store().close(3)
        found = reconcile(event_log)
        counts = found.served, found.assigned, found.stored, found.dropped
        assert counts == ((4, 2, 2, 2) if is_in else (4, 0, 0, 4))
        assert found.exposure_rows == found.stored
    assert event_log.with_name(LOST_FILE).read_bytes() == b""


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
def test_lost_counts_that_were_brought_in_before_a_cut_count_once(event_log: EventLog) -> None:
    """The process was killed after the database had them, and before the file was empty."""
    file = event_log.with_name(LOST_FILE)
    note_lost(event_log, {"served": 3, "assigned": 0, "dropped": 3}, 1)
    lines = file.read_bytes()
    assert reconcile(event_log).dropped == 3
    file.write_bytes(lines)
    assert reconcile(event_log).dropped == 3


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
def test_lost_counts_of_a_transaction_that_a_crashed_database_forgot_do_not_count(
    event_log: EventLog, open_store: OpenStore
) -> None:
    """Its number lies in the server's future, which refuses to be asked about it."""
    line = b'{"at_ms":1,"counts":{"served":-1,"dropped":-1},"id":"a","if_committed":4000000000}'
    event_log.with_name(LOST_FILE).write_bytes(line + b"\n")
    open_store().close(3)
    assert reconcile(event_log).served == 0
    assert event_log.with_name(LOST_FILE).read_bytes() == b""
