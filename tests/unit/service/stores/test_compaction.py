"""Files of events are written anew: the same rows, and nothing beside them."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.errors import ConfigError, StoreError
from models.pseudonym import Pseudonymiser
from service.home_key import load_home_key
from service.privacy.control_erasure import open_control
from service.privacy.erase import Receipt, erase_person
from service.settings import Settings
from service.stores.compaction import compact
from service.stores.event_database import open_event_database
from service.stores.event_log import PostgresLog
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.rollup import open_rollup


def shop(home: Path) -> tuple[Path, Pseudonymiser]:
    """Make a store of 20 people, whose running sums are made, and leave bytes of u1 in a gap."""
    events = open_event_database(home)
    pseudonymiser = load_home_key(home, events)
    store = open_event_store(events, opened_ms=0)
    for n in range(20):
        key = pseudonymiser.pseudonym("user_id", f"u{n}")
        store.commit(Batch([StoredEvent(f"e{n}", 1, 5, 5, key, item_id="p1")]))
    store.close(9)
    open_rollup(events).close()
    with closing(sqlite3.connect(events)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("DELETE FROM events WHERE event_id = 'e1'")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return events, pseudonymiser


def erase(home: Path, pseudonymiser: Pseudonymiser) -> Receipt:
    """Erase u1."""
    settings = Settings(home=home)
    with open_control(settings, pseudonymiser, actor="test", now_ms=lambda: 9) as control:
        return erase_person(
            home, pseudonymiser, "user_id", "u1", control=control, wait_s=lambda _: None
        )


def rows(events: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(events)) as connection:
        return connection.execute("SELECT seq, event_id FROM events ORDER BY seq").fetchall()


def test_compaction_leaves_nothing_of_whom_an_erasure_could_not_reach(tmp_path: Path) -> None:
    """The receipt names the command; after it nothing is found, and rows and marks are the same."""
    events, pseudonymiser = shop(tmp_path)
    kept = rows(events)
    receipt = erase(tmp_path, pseudonymiser)
    assert receipt.found_in == ["events.sqlite"]
    assert "endcap events compact" in receipt.left_to_you[0]
    told: list[str] = []
    done = compact(events, tell=told.append)
    assert [one.file for one in done] == ["events.sqlite", "rollup.sqlite"]
    assert len(told) == len(done)
    receipt = erase(tmp_path, pseudonymiser)
    assert receipt.is_verified, receipt.found_in
    assert not any("compact" in each for each in receipt.left_to_you)
    assert rows(events) == kept
    assert [seq for seq, _ in kept] == [1, *range(3, 21)]
    assert load_home_key(tmp_path, events).derive("x") == pseudonymiser.derive("x")


def test_compaction_is_refused_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk with less free than a file takes is told before anything is written."""
    events, _ = shop(tmp_path)
    before = events.read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(StoreError, match=r"takes \d+ MB .* 1 MB are free; make room"):
        compact(events)
    assert events.read_bytes() == before


def test_compaction_of_a_reader_that_never_ends_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old pages that somebody reads all the time are said to be still there."""
    monkeypatch.setattr("service.stores.compaction._FOLDS", 1)
    monkeypatch.setattr("service.stores.compaction._FOLDING_MS", 1)
    monkeypatch.setattr("service.stores.event_database.BUSY_TIMEOUT_MS", 1)
    events, _ = shop(tmp_path)
    with closing(sqlite3.connect(events, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        with pytest.raises(StoreError, match="keeps its old pages; end that program"):
            compact(events)
    assert len(compact(events)) == 2


def test_compaction_of_a_database_server_is_its_own(tmp_path: Path) -> None:
    """PostgreSQL is named, with what its owner may do."""
    with pytest.raises(ConfigError, match=r"PostgreSQL.*VACUUM FULL"):
        compact(PostgresLog("postgresql://user@host/database", tmp_path))
