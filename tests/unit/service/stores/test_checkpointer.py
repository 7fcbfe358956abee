"""SQLite's log is moved beside the connection that writes, and begins anew."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from service.stores.checkpointer import ROWS_A_COMMIT, Checkpointer
from service.stores.event_database import SqliteConnection, connect_file, fold_log
from tests.end_to_end.running_server import wait_until

AFTER_ROWS = 50
WITHIN_S = 8.0
NEVER_S = 600.0


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[SqliteConnection]:
    """Connect to a store with one table."""
    connection = connect_file(tmp_path / "rows.sqlite")
    connection.execute("CREATE TABLE rows (body TEXT)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    yield connection
    connection.close()


@pytest.fixture
def start(tmp_path: Path, writer: SqliteConnection) -> Iterator[Callable[..., Checkpointer]]:
    """Start a checkpointer that the writer leaves it to."""
    started = []

    def of(after_s: float = NEVER_S) -> Checkpointer:
        n_counted = AFTER_ROWS * (1 + ROWS_A_COMMIT)
        one = Checkpointer(tmp_path / "rows.sqlite", after_rows=n_counted, after_s=after_s)
        one.relieve(writer)
        one.start()
        started.append(one)
        return one

    yield of
    for one in started:
        one.close()


def write(writer: SqliteConnection, checkpointer: Checkpointer, n_rows: int = AFTER_ROWS) -> None:
    """Commit rows of half a page each, one by one."""
    for _ in range(n_rows):
        writer.execute("INSERT INTO rows VALUES (?)", ("x" * 2_000,))
        checkpointer.note(1)


def n_in_file(home: Path) -> int:
    """Count the rows that are in the file itself, whatever its log says."""
    copy = home / "copy.sqlite"
    copy.write_bytes((home / "rows.sqlite").read_bytes())
    connection = sqlite3.connect(copy)
    try:
        return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
    except sqlite3.DatabaseError:
        return -1  # some of its pages are being moved
    finally:
        connection.close()
        copy.unlink()


def is_in_file(home: Path, n_rows: int) -> bool:
    """Tell whether so many rows are."""
    return n_in_file(home) == n_rows


def n_beginnings(home: Path) -> int:
    """Return how often the log began anew, as its head says."""
    return int.from_bytes((home / "rows.sqlite-wal").read_bytes()[12:16])


def test_log_is_moved_beside_the_writer_and_begins_anew(
    tmp_path: Path, writer: SqliteConnection, start: Callable[..., Checkpointer]
) -> None:
    """Once enough was written, and again; the writer has only the rest to do."""
    checkpointer = start()
    n_written = n_counted = n_before = 0
    for _ in range(3):
        write(writer, checkpointer, AFTER_ROWS - 1 - n_counted)
        assert not checkpointer.finish(writer)
        write(writer, checkpointer, 1)
        n_written += AFTER_ROWS - n_counted
        wait_until(partial(is_in_file, tmp_path, n_written), WITHIN_S)
        wait_until(partial(checkpointer.finish, writer), WITHIN_S)
        assert not checkpointer.finish(writer)
        write(writer, checkpointer, 1)
        n_written, n_counted = n_written + 1, 1
        assert n_beginnings(tmp_path) > n_before
        n_before = n_beginnings(tmp_path)


def test_little_is_moved_after_a_while(
    tmp_path: Path, writer: SqliteConnection, start: Callable[..., Checkpointer]
) -> None:
    """Less than enough rows wait for the time, and not for more rows."""
    write(writer, start(after_s=0.1), 1)
    wait_until(partial(is_in_file, tmp_path, 1), WITHIN_S)


def test_reader_keeps_the_log_and_lets_it_go(
    tmp_path: Path, writer: SqliteConnection, start: Callable[..., Checkpointer]
) -> None:
    """What came after a reader's moment is moved once the reader has ended; nothing is lost."""
    checkpointer = start()
    reader = connect_file(tmp_path / "rows.sqlite")
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM rows").fetchone() == (0,)
    write(writer, checkpointer)
    wait_until(partial(checkpointer.finish, writer), WITHIN_S)
    assert n_in_file(tmp_path) == 0
    assert reader.execute("SELECT count(*) FROM rows").fetchone() == (0,)
    reader.close()
    write(writer, checkpointer)
    wait_until(partial(is_in_file, tmp_path, 2 * AFTER_ROWS), WITHIN_S)


def test_failure_is_told_and_the_next_time_succeeds(
    tmp_path: Path,
    writer: SqliteConnection,
    start: Callable[..., Checkpointer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that cannot be opened costs a warning; the writer goes on."""
    checkpointer = start()
    with capture_logs() as logs:
        with monkeypatch.context() as patched:
            patched.setattr(
                "service.stores.checkpointer.connect_file", lambda _path: connect_file(tmp_path)
            )
            write(writer, checkpointer)
            wait_until(lambda: bool(logs), WITHIN_S)
        [line] = logs
        assert line["event"] == "log_not_moved"
        assert str(tmp_path) in line["error"]
        write(writer, checkpointer)
        wait_until(partial(is_in_file, tmp_path, 2 * AFTER_ROWS), WITHIN_S)


HOLD = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, 121)  # as whoever moves the log
    print(flush=True)
    sys.stdin.read()
"""


def test_log_is_folded_though_somebody_moves_it(
    tmp_path: Path, writer: SqliteConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure waits for a pass that is under way, for SQLite does not."""
    writer.execute("INSERT INTO rows VALUES ('gone')")
    log = tmp_path / "rows.sqlite-wal"
    command = [sys.executable, "-c", HOLD, str(tmp_path / "rows.sqlite-shm")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 1
        assert log.stat().st_size > 0
        waits: list[float] = []

        def let_go(seconds: float) -> None:
            waits.append(seconds)
            process.communicate()  # the pass ends while the erasure waits for it

        clock = SimpleNamespace(monotonic=time.monotonic, sleep=let_go)
        monkeypatch.setattr("service.stores.event_database.time", clock)
        fold_log(writer)
        assert waits
        assert log.stat().st_size == 0
