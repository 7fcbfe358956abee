"""Every process hears of an erasure once, and of whom only while it is fresh."""

import threading
import time
from pathlib import Path

import pytest

from service.privacy.erase import search
from service.stores.erasures import Erasure, ErasureReader, announce, withdraw
from service.stores.event_database import connect
from service.stores.event_log import EventLog

KEY = "0123456789abcdef" * 2


def hear(reader: ErasureReader) -> list[Erasure]:
    """Read what is new, as soon as there is something; a server tells it a moment later."""
    end_s = time.monotonic() + 5
    while not (found := reader.read_new()) and time.monotonic() < end_s:
        pass
    return found


def test_readers_hear_of_an_erasure_once(event_log: EventLog) -> None:
    """Two readers each get the keys, once; one that starts later knows nobody to forget."""
    path = event_log
    readers = [ErasureReader(path) for _ in range(2)]
    assert [reader.read_new() for reader in readers] == [[], []]
    seq = announce(path, [KEY], 5)
    late = ErasureReader(path)
    assert [hear(reader) for reader in readers] == [[Erasure(seq, [KEY])]] * 2
    assert [reader.read_new() for reader in readers] == [[], []]
    assert late.read_new() == []
    for reader in (*readers, late):
        reader.close()


def test_reader_that_is_late_drops_everything(event_log: EventLog, tmp_path: Path) -> None:
    """After a second the row names nobody, and neither does any byte of a file."""
    path = event_log
    reader = ErasureReader(path)
    seq = announce(path, [KEY], 5)
    is_file = isinstance(path, Path)
    assert bool(search(tmp_path, [KEY])) is is_file
    withdraw(path, seq)
    assert search(tmp_path, [KEY]) == []
    assert hear(reader) == [Erasure(seq, None)]
    reader.close()


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
def test_erasures_of_several_machines_take_turns(event_log: EventLog) -> None:
    """A number is taken behind the lock of all writers, so none is committed after a higher one,
    which a reader would have passed."""
    other = connect(event_log)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO erasures (at_ms) VALUES (1)")
    announced: list[int] = []
    thread = threading.Thread(target=lambda: announced.append(announce(event_log, [KEY], 5)))
    thread.start()
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
        "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    end_s = time.monotonic() + 4
    while not announced and other.execute(waiting).fetchone() == (0,):
        assert time.monotonic() < end_s
    assert announced == []
    other.execute("COMMIT")
    thread.join()
    assert announced == [2]
    other.close()
