"""A home that holds data is opened with the pseudonym key of that data, or not at all."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import ConfigError
from models.pseudonym import KEY_FILE, KEY_VARIABLE, load_pseudonymiser, rotate_key
from service.home_key import load_home_key, note_new_key
from service.stores.event_database import open_event_database

EVENT = "INSERT INTO events (event_id, kind, at_ms, received_ms, user_key, flags) VALUES "


@pytest.fixture(autouse=True)
def _key_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def insert(events: Path, user_key: str | None) -> None:
    with closing(sqlite3.connect(events)) as connection, connection:
        connection.execute(f"{EVENT} (hex(randomblob(8)), 1, 0, 0, ?, 0)", (user_key,))


def test_missing_key_of_a_home_with_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty homes, and those that name nobody, get a key; others say where it is to come from."""
    events = open_event_database(tmp_path)
    insert(events, None)
    first = load_home_key(tmp_path, events)
    insert(events, first.pseudonym("user_id", "u1"))
    kept = (tmp_path / KEY_FILE).read_text()
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(ConfigError, match=r"pseudonym\.key is missing.*restore.*rotate-pseudonym"):
        load_home_key(tmp_path, events)
    assert not (tmp_path / KEY_FILE).exists()
    monkeypatch.setenv(KEY_VARIABLE, kept.strip())
    assert load_home_key(tmp_path, events).derive("x") == first.derive("x")


def test_marked_home_without_rows_gets_no_other_key(tmp_path: Path) -> None:
    """What was written under the key before may be in models and lists: it is asked for."""
    events = open_event_database(tmp_path)
    load_home_key(tmp_path, events)
    (tmp_path / KEY_FILE).unlink()
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"pseudonym\.key is missing.*restore.*rotate-pseudo"):
            load_home_key(tmp_path, events)
        assert not (tmp_path / KEY_FILE).exists()
    rotate_key(tmp_path)
    renewed = note_new_key(tmp_path, events)
    assert load_home_key(tmp_path, events).derive("x") == renewed.derive("x")


def test_rows_of_an_older_release_need_their_key_without_a_mark(tmp_path: Path) -> None:
    """It set no mark, and named people."""
    events = open_event_database(tmp_path)
    insert(events, "ab" * 16)
    with pytest.raises(ConfigError, match="is missing"):
        load_home_key(tmp_path, events)
    assert not (tmp_path / KEY_FILE).exists()


def test_archived_rows_need_their_key_too(tmp_path: Path) -> None:
    """All rows moved to the archive: a new key is refused as well."""
    events = open_event_database(tmp_path)
    file = tmp_path / "archive" / "events" / "day=2026-01-01" / "rows.parquet"
    file.parent.mkdir(parents=True)
    file.touch()
    with pytest.raises(ConfigError, match="is missing"):
        load_home_key(tmp_path, events)


def test_another_key_is_refused_until_it_is_rotated_on_purpose(tmp_path: Path) -> None:
    """A key of another home does not open this one; a copy of the file brings its mark along."""
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    events = open_event_database(home)
    first = load_home_key(home, events)
    other.mkdir()
    shutil.copy(events, other)
    load_pseudonymiser(other)
    with pytest.raises(ConfigError, match=r"another pseudonym key.*restore"):
        load_home_key(other, other / events.name)
    shutil.copy(home / KEY_FILE, other)
    assert load_home_key(other, other / events.name).derive("x") == first.derive("x")
    rotate_key(home)
    with pytest.raises(ConfigError, match="another pseudonym key"):
        load_home_key(home, events)
    renewed = note_new_key(home, events)
    assert load_home_key(home, events).derive("x") == renewed.derive("x") != first.derive("x")
