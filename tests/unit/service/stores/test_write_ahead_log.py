"""A file that is new may be opened by several at once, and one that is held is waited for."""

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import StoreError
from service.stores.event_database import connect_file
from service.stores.sqlite import use_write_ahead_log

N_OPENERS = 8
N_FILES = 60


def test_file_that_several_open_first_is_open_to_all(tmp_path: Path) -> None:
    """SQLite tells all but one at once that it is locked."""
    with ThreadPoolExecutor(N_OPENERS) as pool:
        for number in range(N_FILES):
            together = threading.Barrier(N_OPENERS)

            def mode(
                path: Path = tmp_path / f"{number}", all_here: threading.Barrier = together
            ) -> str:
                all_here.wait(20)
                with closing(connect_file(path)) as connection:
                    found: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
                return found

            opened = [pool.submit(mode) for _ in range(N_OPENERS)]
            assert {one.result() for one in opened} == {"wal"}


def test_file_that_is_held_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    """By whoever keeps a file of another kind locked; what is no lock is told at once."""
    path = tmp_path / "held"
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("CREATE TABLE t (x)")
        holder.execute("BEGIN EXCLUSIVE")
        begin_s = time.monotonic()
        with pytest.raises(StoreError, match="database is locked"):
            connect_file(path, busy_timeout_ms=200)
        assert time.monotonic() - begin_s >= 0.2
        holder.execute("ROLLBACK")
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"no database at all" * 100)
    with (
        closing(sqlite3.connect(damaged)) as connection,
        pytest.raises(sqlite3.DatabaseError, match="not a database"),
    ):
        use_write_ahead_log(connection, 60_000)
