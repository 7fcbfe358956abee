"""Old rows go once a day, by one process, and not without a setting."""

import os
from pathlib import Path

import pytest

from models.errors import ConfigError, NotFoundError
from service.privacy.retention_runner import RetentionRunner
from service.settings import read_settings
from service.stores.archive_files import day_files
from service.stores.event_database import open_event_database
from service.stores.events import Batch
from service.stores.pictures import PictureFiles
from service.stores.retention import DAY_MS, read_limits
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import view


def store_views(path: Path, *days: int) -> None:
    store = SqliteEventStore(path, opened_ms=1)
    store.commit(Batch([view(f"v{day}", received_ms=day * DAY_MS) for day in days]))
    store.close(2)


def test_one_process_deletes_once_a_day(tmp_path: Path) -> None:
    """On day 41 the view of day 10 goes, on day 42 of day 11; the second does nothing."""
    path = open_event_database(tmp_path)
    store_views(path, 10, 11, 40)
    now_ms = 41 * DAY_MS
    first, second = (RetentionRunner(path, {"view": 30}, now_ms=lambda: now_ms) for _ in range(2))
    assert first.run_once() == {"view": 1}
    assert first.run_once() is None
    assert second.run_once() is None
    now_ms += DAY_MS
    assert second.run_once() is None
    first.close()
    assert second.run_once() == {"view": 1}
    second.close()


def test_nothing_is_deleted_without_a_setting(tmp_path: Path) -> None:
    """The default keeps everything, and takes no lease."""
    path = open_event_database(tmp_path)
    store_views(path, 1)
    assert RetentionRunner(path, {}, now_ms=lambda: 10**15).run_once() is None
    assert not (tmp_path / "retention.lease").exists()


def test_stopping_leaves_the_rest_for_later(tmp_path: Path) -> None:
    """A runner that was told to stop deletes nothing more and does not count the day as done."""
    path = open_event_database(tmp_path)
    store_views(path, 1)
    runner = RetentionRunner(path, {"view": 30}, now_ms=lambda: 50 * DAY_MS)
    runner.close()
    assert runner.run_once() == {"view": 0}
    assert (tmp_path / "retention.lease").read_text() == ""
    runner.close()


def test_setting_names_kinds_and_days() -> None:
    """It comes from the environment as from the command line; a wrong one is told."""
    settings = read_settings({"ENDCAP_KEEP": "view=90, rendered=30"}, {})
    assert settings.kept_days == {"view": 90, "rendered": 30}
    with pytest.raises(ConfigError, match="names no kind"):
        _ = read_settings({}, {"keep": "views=90"}).kept_days


def test_picture_that_no_banner_names_goes(tmp_path: Path) -> None:
    """Thirty days after it was last named; one that is named stays, and so does another file."""
    path = open_event_database(tmp_path)
    files = PictureFiles(tmp_path)
    named, left = (files.write(b"GIF89a" + end, max_bytes=99).hash for end in (b"named", b"left"))
    (tmp_path / "pictures" / "notes.txt").write_text("mine")
    names = {named, left}
    now_ms = 100 * DAY_MS
    for one in (tmp_path / "pictures").iterdir():
        os.utime(one, (DAY_MS / 1000, DAY_MS / 1000))
    runner = RetentionRunner(
        path, {"picture": 30}, now_ms=lambda: now_ms, named_pictures=lambda: names
    )
    assert runner.run_once() == {"picture": 0}
    names.remove(left)
    now_ms = 130 * DAY_MS
    assert runner.run_once() == {"picture": 0}
    now_ms = 131 * DAY_MS
    assert runner.run_once() == {"picture": 1}
    runner.close()
    assert files.read(named).content == b"GIF89anamed"
    with pytest.raises(NotFoundError):
        files.read(left)
    assert (tmp_path / "pictures" / "notes.txt").exists()


def test_picture_is_kept_by_the_server_alone() -> None:
    """It is a kind of the setting, and none of the command that deletes rows."""
    assert read_settings({}, {"keep": "picture=90"}).kept_days == {"picture": 90}
    with pytest.raises(ConfigError, match="names no kind"):
        read_limits(["picture=90"])


def test_old_days_are_archived_by_the_same_process(tmp_path: Path) -> None:
    """Without limits, on day 41 the days up to 30 move; the rest stays."""
    path = open_event_database(tmp_path)
    store_views(path, 10, 40)
    runner = RetentionRunner(path, {}, archive_days=10, now_ms=lambda: 41 * DAY_MS)
    assert runner.run_once() == {}
    assert runner.run_once() is None
    runner.close()
    assert [file.parent.name for file in day_files(path, "events")] == ["day=1970-01-11"]
    with pytest.raises(ConfigError, match="8 or more"):
        RetentionRunner(path, {}, archive_days=3, now_ms=lambda: 0)
