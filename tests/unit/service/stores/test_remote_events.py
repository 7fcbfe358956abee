"""Workers and the log process over a real socket: one transaction, one answer, once."""

import asyncio
import os
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from models.errors import CapacityError, StoreError
from service.processes.log_server import LogServer
from service.stores.event_database import connect, open_event_database
from service.stores.event_ledger import reconcile
from service.stores.events import Batch, Committed, EventStore, StoreBusyError
from service.stores.exposure_rows import exposure_rows, pack_exposures, unpack_exposures
from service.stores.log_wire import Done, Group, Hello, Unframer, decode_request, frame
from service.stores.merged_events import MergedEvents
from service.stores.remote_events import RemoteEventStore
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import Bench, slate, view


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty event store."""
    return open_event_database(tmp_path)


@pytest.fixture
def address() -> Iterator[Path]:
    """Where a socket may be: names of pytest's folders are longer than a socket's may be."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "log.sock"


class Process:
    """A log process that is a thread of the test."""

    def __init__(self, listener: socket.socket, open_events: Callable[[], MergedEvents]) -> None:
        self._alive, stop = os.pipe()[::-1]
        self._stop = stop
        self._server = LogServer(listener, open_events, stop)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()

    def end(self) -> None:
        """End it as its supervisor does."""
        os.close(self._alive)
        self._thread.join()
        os.close(self._stop)


@contextmanager
def running(
    address: Path, path: Path, events: type[MergedEvents] = MergedEvents
) -> Iterator[Process]:
    """Run a log process until the block ends."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        process = Process(listener, lambda: events(path))
        try:
            yield process
        finally:
            process.end()
            address.unlink()


def batch(*event_ids: str, exposures: tuple[str, ...] = ()) -> Batch:
    """Make what a worker commits: events and exposures, and what it counted."""
    n_events, n_exposures = len(event_ids), len(exposures)
    return Batch(
        [view(one) for one in event_ids],
        [slate(one) for one in exposures],
        {"received": n_events, "served": n_exposures, "assigned": n_exposures},
    )


def commit(store: EventStore, what: Batch) -> Committed:
    """Commit as the writer thread does: again and again while the store is busy."""
    end_s = time.monotonic() + 20
    while True:
        try:
            return store.commit(what)
        except StoreBusyError:
            assert time.monotonic() < end_s


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """Read with a connection of our own."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_both_adapters_answer_the_same(path: Path, tmp_path: Path, address: Path) -> None:
    """New, repeated, in one batch and in two; places in the order of commits; exposures once."""
    (tmp_path / "other").mkdir()
    other = open_event_database(tmp_path / "other")
    batches = (
        batch("a", "b", "a", exposures=("x", "y")),
        batch("b", "c", exposures=("y",)),
        batch(exposures=("z",)),
        batch("é" * 100),
    )
    own = SqliteEventStore(other, opened_ms=1)
    with running(address, path):
        shared = RemoteEventStore(address, opened_ms=1)
        answers = [(commit(own, one), commit(shared, one)) for one in batches]
        own.close(5)
        shared.close(5)
    assert answers[0][0].is_new == [True, True, False]
    assert all(one == two for one, two in answers)
    for query in (
        "SELECT * FROM events ORDER BY seq",
        "SELECT * FROM exposures ORDER BY seq",
        "SELECT name, value FROM counters ORDER BY name",
        "SELECT opened_ms, closed_ms FROM writers",
    ):
        assert rows(path, query) == rows(other, query)


def test_group_that_is_sent_again_is_answered_as_before(path: Path) -> None:
    """By the same process and by the next one, which reads the answer from the store."""
    hello = Hello("worker", 1, 1)
    with closing(MergedEvents(path)) as first:
        sent = _group(batch("a", "b", exposures=("x",)), 1)
        [answer] = first.commit([(hello, sent)])
        assert first.commit([(hello, sent)]) == [answer]
        assert first.commit([(hello, sent), (hello, sent)]) == [answer, answer]
    assert answer == Done(1, b"\1\1", 1, 1)
    with closing(MergedEvents(path)) as second:
        assert second.commit([(hello, sent)]) == [answer]
        twice = (hello, _group(batch("b", "c"), 2))
        later, same = second.commit([twice, twice])
        assert later == same
        assert later.is_new == b"\0\1"
    with closing(MergedEvents(path)) as third:
        third.leave(hello, 9)
    assert rows(path, "SELECT count(*), min(closed_ms) FROM writers") == [(1, 9)]
    found = reconcile(path)
    assert found.is_balanced
    assert (found.received, found.accepted, found.duplicate) == (4, 3, 1)


def test_groups_of_several_workers_are_one_transaction(path: Path) -> None:
    """Each gets its own verdicts and counts; a wrong value in one leaves nothing of any."""
    first, second = Hello("1", 1, 1), Hello("2", 2, 2)
    with closing(MergedEvents(path)) as events:
        one, two = events.commit(
            [(first, _group(batch("a", "b"), 1)), (second, _group(batch("b", "c"), 1))]
        )
        assert (one.is_new, two.is_new) == (b"\1\1", b"\0\1")
        assert (one.first_seq, two.first_seq) == (1, 3)
        odd = _group(Batch([view("e")._replace(kind=None)]), 2)  # type: ignore[arg-type]  # wrong
        with pytest.raises(sqlite3.IntegrityError):
            events.commit([(first, _group(batch("d"), 2)), (second, odd)])
        assert rows(path, "SELECT event_id FROM events ORDER BY seq") == [("a",), ("b",), ("c",)]
        [after] = events.commit([(first, _group(batch("d"), 2))])
        assert after.is_new == b"\1"
    assert rows(path, "SELECT writer_id, value FROM counters WHERE name = 'accepted'") == [
        (1, 3),
        (2, 1),
    ]


def test_death_of_the_log_process_loses_and_repeats_nothing(path: Path, address: Path) -> None:
    """It dies with a group in hand, written or not: the next one answers, and stores it once."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        store = RemoteEventStore(address, opened_ms=1, answer_s=0.3)
        sent = batch("a", exposures=("x",))
        for is_written, why in ((False, "does not answer"), (True, "ended and is started again")):
            with pytest.raises(StoreBusyError, match=why):
                store.commit(sent)
            dying, _ = listener.accept()
            hello, group = _requests(dying)
            assert isinstance(hello, Hello)
            assert isinstance(group, Group)
            if is_written:
                with closing(MergedEvents(path)) as events:
                    events.commit([(hello, group)])
            dying.close()
        process = Process(listener, lambda: MergedEvents(path))
        assert commit(store, sent).is_new == [True]
        assert commit(store, batch("a")).is_new == [False]
        store.close(3)
        process.end()
    found = reconcile(path)
    assert found.is_balanced, found.differences
    assert (found.received, found.accepted, found.exposure_rows) == (2, 1, 1)
    assert found.unclosed_writers == 0


def test_process_that_is_not_there_is_busy_not_broken(address: Path) -> None:
    """Nobody listens: the caller is told in time, and may come again."""
    slept: list[float] = []
    clock = iter(range(1_000))
    store = RemoteEventStore(
        address, opened_ms=1, answer_s=3, monotonic_s=lambda: next(clock), sleep=slept.append
    )
    with pytest.raises(StoreBusyError, match="is gone"):
        store.commit(batch("a"))
    assert slept
    store.abandon()


def test_locked_store_is_waited_for(path: Path, address: Path) -> None:
    """The worker hears why it waits; what it sent is written once the lock is free."""
    with running(address, path):
        store = RemoteEventStore(address, opened_ms=1, answer_s=5)
        with closing(connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            sent = batch("a")
            for _ in range(2):
                with pytest.raises(StoreBusyError, match="locked by another process"):
                    store.commit(sent)
            other.execute("ROLLBACK")
        assert commit(store, sent).is_new == [True]
        store.close(2)
    assert rows(path, "SELECT name, value FROM counters") == [("accepted", 1), ("received", 1)]


@pytest.mark.parametrize("error", [CapacityError("the disk is full"), StoreError("it is damaged")])
def test_refusal_reaches_the_worker(path: Path, address: Path, error: Exception) -> None:
    """As the kind of error that it is, and the next group may be written."""

    class Refusing(MergedEvents):
        refusals = iter([error])

        def commit(self, groups: object) -> list[Done]:
            for refusal in self.refusals:
                raise refusal
            return super().commit(groups)  # type: ignore[arg-type]  # handed on as it came

    with running(address, path, Refusing):
        store = RemoteEventStore(address, opened_ms=1)
        with pytest.raises(type(error), match=str(error)):
            commit(store, batch("a"))
        assert commit(store, batch("a")).is_new == [True]
        store.close(2)


def test_wrong_value_is_refused_alone(path: Path, address: Path) -> None:
    """Where it is made, or where it is stored; the worker goes on."""
    with running(address, path):
        store = RemoteEventStore(address, opened_ms=1)
        with pytest.raises(OverflowError):
            commit(store, Batch([view("a", at_ms=2**70)]))
        with pytest.raises(ValueError, match="NOT NULL"):
            commit(store, Batch([], [slate("x", at_ms=None)]))
        assert commit(store, batch("b")).is_new == [True]
        store.close(2)
    assert rows(path, "SELECT event_id FROM events") == [("b",)]


def test_exposures_are_packed_for_it_and_an_odd_one_is_dropped_alone(
    tmp_path: Path, path: Path, address: Path
) -> None:
    """MessagePack takes 2 to the 63rd and fractions, the store does not: the rest is stored."""
    with running(address, path):
        bench = Bench(
            tmp_path, store=lambda _path: RemoteEventStore(address, opened_ms=1), packs=True
        )

        async def use() -> None:
            bench.exposures.put_all([slate("x"), slate("y", at_ms=2**63), slate("z")])
            bench.exposures.put_all([slate("far", at_ms=2**70), slate("half", epoch=1.5)])
            bench.exposures.put(slate("w"))
            await asyncio.sleep(0)
            bench.writer.start()
            assert await bench.events.submit([view("a")], n_received=1) == [True]

        asyncio.run(use())
        assert bench.writer.close(10.0)
    assert rows(path, "SELECT exposure_id FROM exposures ORDER BY rowid") == [
        ("x",),
        ("z",),
        ("w",),
    ]
    assert bench.counts["served"] == bench.counts["assigned"] == 6
    assert (bench.counts["dropped"], bench.counts["stored"]) == (3, 3)
    found = reconcile(path)
    assert (found.assigned, found.dropped, found.exposure_rows) == (3, 3, 3)


def test_group_of_megabytes_is_sent_though_nobody_reads_at_once(address: Path) -> None:
    """More than a socket holds: a call ends in time, and the next goes on where it stopped."""
    many = [slate(f"x{number}") for number in range(20_000)]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        store = RemoteEventStore(address, opened_ms=1, answer_s=0.1)
        what = Batch([view("a")], many)
        for _ in range(2):
            begin_s = time.monotonic()
            with pytest.raises(StoreBusyError, match="does not answer"):
                store.commit(what)
            assert 0.09 < time.monotonic() - begin_s < 5.0
        worker, _ = listener.accept()
        with worker, ThreadPoolExecutor(1) as pool:
            reading = pool.submit(_requests, worker)
            while not reading.done():
                with suppress(StoreBusyError):
                    store.commit(what)
            _, group = reading.result()
        store.abandon()
    assert isinstance(group, Group)
    assert unpack_exposures(group.exposures).values == exposure_rows(many).values


def test_slow_reader_keeps_no_call_longer(address: Path) -> None:
    """Linux waits anew for each 32 KB; here a group would take four seconds."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        store = RemoteEventStore(address, opened_ms=1, answer_s=0.1)
        is_over = threading.Event()

        def read() -> None:
            reader, _ = listener.accept()
            with reader:
                while not is_over.wait(0.03):
                    reader.recv(32_768)

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            begin_s = time.monotonic()
            with pytest.raises(StoreBusyError, match="does not answer"):
                store.commit(Batch([], [slate(f"x{number}") for number in range(20_000)]))
            took_s = time.monotonic() - begin_s
            is_over.set()
            reading.result()
        store.abandon()
    assert took_s < 2.0


@pytest.mark.skipif(sys.platform != "linux", reason="others refuse, as if nobody listened")
def test_crowd_at_the_door_is_waited_for(address: Path) -> None:
    """Linux says at once that there is no room: the caller sleeps a moment and may come again."""
    slept: list[float] = []
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(str(address))
        listener.listen(0)
        other.connect(str(address))
        store = RemoteEventStore(address, opened_ms=1, sleep=slept.append)
        for n in (1, 2):
            with pytest.raises(StoreBusyError, match="does not answer"):
                store.commit(batch("a"))
            assert len(slept) == n
        store.abandon()


def test_whatever_else_connects_is_sent_away(path: Path, address: Path) -> None:
    """Noise, and a group without a name before it, close their own connection and no other."""
    with running(address, path):
        store = RemoteEventStore(address, opened_ms=1)
        assert commit(store, batch("a")).is_new == [True]
        for noise in (b"\0\0\0\3abc", bytes(frame(_group(batch("b"), 1)))):
            with socket.socket(socket.AF_UNIX) as odd:
                odd.connect(str(address))
                odd.sendall(noise)
                odd.settimeout(10)
                assert odd.recv(1) == b""
        assert commit(store, batch("c")).is_new == [True]
        store.close(2)
    assert rows(path, "SELECT event_id FROM events ORDER BY seq") == [("a",), ("c",)]


def test_what_a_dead_worker_had_sent_is_written(path: Path, address: Path) -> None:
    """The whole group came, the answer reaches nobody."""
    with running(address, path), socket.socket(socket.AF_UNIX) as worker:
        worker.connect(str(address))
        worker.sendall(frame(Hello("w", 1, 1)) + frame(_group(batch("a"), 1)))
    assert rows(path, "SELECT event_id FROM events") == [("a",)]


@pytest.mark.parametrize("n", [1, 3, 7, 1_000])
def test_messages_are_put_together_from_any_pieces(n: int) -> None:
    """Cut every n bytes, the same messages come out."""
    group = _group(batch("a", exposures=("x",)), 1)
    messages: list[Hello | Group] = [Hello("w", 1, 1), group, Hello("v", 2, 2)]
    sent = b"".join(bytes(frame(one)) for one in messages)
    unframer, found = Unframer(), []
    for begin in range(0, len(sent), n):
        unframer.feed(sent[begin : begin + n])
        while message := unframer.take():
            found.append(decode_request(message))
    assert found == messages


def _group(what: Batch, number: int) -> Group:
    return Group(number, list(what.events), [pack_exposures(what.exposures)], what.counts)


def _requests(connection: socket.socket) -> list[object]:
    """Read the two messages that a worker has sent."""
    connection.settimeout(10)
    unframer = Unframer()
    found: list[object] = []
    while len(found) < 2:
        unframer.feed(connection.recv(65_536))
        while message := unframer.take():
            found.append(decode_request(message))
    return found
