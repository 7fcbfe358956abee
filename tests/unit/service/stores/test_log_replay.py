"""Sums that are made anew count archived days as those did that saw them come."""

import fcntl
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from models.errors import StoreError
from service.exposure import Exposure
from service.reports.rollup_keeper import RollupKeeper
from service.stores import archive, log_replay, replay_process, replay_writing, rollup_tables
from service.stores.archive_files import (
    LOCK_FILE,
    archive_lock,
    archive_turn,
    day_files,
    is_archive_awaited,
)
from service.stores.archive_removal import erase_archived
from service.stores.archiving import archive_old_days, finish_moves
from service.stores.banner_counts import fold_banners, open_banner_counts
from service.stores.days import read_days
from service.stores.event_database import connect, open_event_database
from service.stores.events import Batch, StoredEvent
from service.stores.log_replay import REPLAY_FILE
from service.stores.outcomes import read_outcomes
from service.stores.personal_rows import COLUMNS, delete_rows
from service.stores.replay_writing import write_replay
from service.stores.retention import DAY_MS
from service.stores.rollup import ROLLUP_FILE, add_new, count_waiting, open_rollup
from service.stores.rollup_erasing import erase_units
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import slate

NOW_MS = 100 * DAY_MS
N_ROWS = 400
FIRST_DAY, N_DAYS = 70, 29
"""Days 70 to 98: of them those up to day 89 move."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of twelve units over four weeks, in the order in which it came."""
    path = open_event_database(tmp_path_factory.mktemp("log"))
    rng = np.random.default_rng(4)
    store = SqliteEventStore(path, opened_ms=1)
    for i, at_ms in enumerate(sorted(rng.integers(0, N_DAYS * DAY_MS, N_ROWS).tolist())):
        row = random_row(rng, i, FIRST_DAY * DAY_MS + at_ms)
        is_event = isinstance(row, StoredEvent)
        store.commit(Batch([row]) if is_event else Batch([], [row]))  # type: ignore[list-item]  # told above
    store.close(2)
    with closing(connect(path)) as connection:
        connection.execute(
            "INSERT INTO identities (user_key, unit_kind, unit_key, at_ms) "
            "VALUES ('u1', 'anonymous_id', 'u2', 3)"
        )
    return path


@pytest.fixture
def path(log: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(log.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / log.name


def random_row(rng: np.random.Generator, i: int, at_ms: int) -> StoredEvent | Exposure:
    """Show something to a unit, or let one do something, also with what was shown a while ago."""
    unit = f"u{rng.integers(12)}"
    if rng.random() < 0.5:
        variant = ("control", "personal")[int(rng.integers(2))]
        epoch = int(rng.integers(1, 4))
        fields = {"unit_key": unit, "user_key": unit, "variant": variant, "epoch": epoch}
        return slate(f"x{i}", at_ms=at_ms, **fields)
    exposure_id = f"x{rng.integers(N_ROWS)}" if rng.random() < 0.5 else None
    kind = int(rng.integers(0, 5))
    return StoredEvent(
        f"e{i}",
        kind,
        at_ms,
        at_ms,
        user_key=unit,
        item_id="p1",
        price=3.0,
        exposure_id=exposure_id,
        order_id=f"o{i}" if kind == 3 else None,
    )


def figures(path: Path) -> tuple[object, ...]:
    """Read everything that reports and insights are made of."""
    return read_outcomes(path, "r"), read_days(path, 0, 100)


def forget_sums(path: Path) -> None:
    """Lose the sums, as a restored backup without them does."""
    for file in path.parent.glob(f"{ROLLUP_FILE}*"):
        file.unlink()


def read_archive(path: Path) -> None:
    """Begin with empty sums, and put the archive beside the store for them."""
    open_rollup(path, max_new=0).close()
    write_replay(path)


@pytest.fixture
def before(path: Path) -> tuple[object, ...]:
    """What the sums said before two thirds of the days moved and the sums were lost."""
    # What names an exposure that comes later is not put down to it, now or then.
    found = figures(path)
    moved = archive_old_days(path, 10, now_ms=NOW_MS)
    assert min(moved.values()) > 100
    assert figures(path) == found
    forget_sums(path)
    return found


def test_sums_made_anew_count_archived_days(path: Path, before: tuple[object, ...]) -> None:
    """Everything that a report says is as it was before; nothing is left of what it took."""
    assert figures(path) == before
    assert not list(path.parent.glob(f"{REPLAY_FILE}*"))
    forget_sums(path)
    assert figures(path) == before


def test_orders_of_the_version_before_are_read_again(
    path: Path, before: tuple[object, ...]
) -> None:
    """Those of archived days too, with what they name; the other sums stay as they are."""
    assert figures(path) == before
    with closing(sqlite3.connect(path.with_name(ROLLUP_FILE), isolation_level=None)) as sums:
        sums.execute("ALTER TABLE deeds DROP COLUMN rollout")
        sums.execute("ALTER TABLE deeds DROP COLUMN place")
        sums.execute("DELETE FROM progress WHERE name = 'deeds'")
        sums.execute("ALTER TABLE orders DROP COLUMN by_server")
        sums.execute("PRAGMA user_version = 6")
    assert figures(path) == before
    assert not list(path.parent.glob(f"{REPLAY_FILE}*"))


def test_outdated_sums_count_archived_days(
    path: Path, before: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new version of Endcap makes them anew."""
    assert figures(path) == before
    monkeypatch.setattr(rollup_tables, "VERSION", rollup_tables.VERSION + 1)
    assert figures(path) == before


def test_keeper_has_the_archive_read_beside_it(path: Path, before: tuple[object, ...]) -> None:
    """Steps do nothing until it is, and report what waits; then they add up, in small steps."""
    keeper = RollupKeeper(path, step_rows=30)
    assert not keeper.step()
    waiting = read_outcomes(path, "r", max_new=1_000)
    assert (waiting.arms, waiting.n_waiting) == ([], N_ROWS + 1)
    keeper._replay.wait()
    assert keeper.step()
    while keeper.step():
        pass
    keeper.give_back()
    assert read_outcomes(path, "r", max_new=0) == before[0]
    assert not list(path.parent.glob(f"{REPLAY_FILE}*"))


def test_process_that_adds_beside_goes_over_with_the_other(
    path: Path, before: tuple[object, ...]
) -> None:
    """Two connections add the archive in turns; when one has finished the other reads the store."""
    read_archive(path)
    with (
        closing(open_rollup(path, max_new=0)) as one,
        closing(open_rollup(path, max_new=0)) as two,
    ):
        for _ in range(4):
            assert add_new(one, 20)
            assert add_new(two, 20)
        while add_new(one, 1_000):
            pass
        assert not path.with_name(REPLAY_FILE).exists()
        store = SqliteEventStore(path, opened_ms=3)
        store.commit(Batch([], [slate("new", unit_key="new", user_key="new", at_ms=NOW_MS)]))
        store.close(4)
        assert count_waiting(one) == 1
        assert not add_new(two, 1_000)
        assert count_waiting(one) == count_waiting(two) == 0
    sums = read_outcomes(path, "r", max_new=0)
    assert sums.n_waiting == 0
    assert sum(arm.n_units for arm in sums.arms) == 1 + sum(
        arm.n_units
        for arm in before[0].arms  # type: ignore[attr-defined]  # the first of `figures`
    )


def test_row_in_both_places_counts_once(
    path: Path, before: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move that was cut between writing and deleting leaves rows in store and archive."""
    assert figures(path) == before
    from service.stores import archiving

    with monkeypatch.context() as patched:
        patched.setattr(archiving, "_delete", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            archive_old_days(path, 8, now_ms=NOW_MS)
    forget_sums(path)
    assert figures(path) == before


@pytest.mark.parametrize("is_written", [False, True])
def test_erased_person_does_not_come_back(
    path: Path, before: tuple[object, ...], is_written: bool
) -> None:
    """Erased before the archive is read or after, half added: no sum and no file has them."""
    if is_written:
        read_archive(path)
        with closing(open_rollup(path, max_new=0)) as sums:
            add_new(sums, 100)
    keys = ["u3", "u4"]
    with archive_lock(path):
        finish_moves(path)
        erase_archived(path, keys)
        assert (log_replay.forget(path, keys) > 0) == is_written
        delete_rows(path, keys)
    erase_units(path, keys)
    with closing(open_rollup(path)) as sums:
        rows = sums.execute("SELECT key FROM keys").fetchall()
        assert {"u1", "u2"} <= {key for (key,) in rows}
        assert not {key for (key,) in rows} & set(keys)
        [n_orders] = sums.execute(
            "SELECT count(*) FROM orders WHERE person_key IN ('u3', 'u4')"
        ).fetchone()
        assert n_orders == 0
    assert not path.with_name(REPLAY_FILE).exists()
    del before


def test_leftover_of_a_crash_is_made_anew(path: Path, before: tuple[object, ...]) -> None:
    """Half a draft, and a file whose last change was cut off."""
    draft = path.with_name(f"{REPLAY_FILE}.part")
    draft.write_text("half")
    journal = path.with_name(f"{REPLAY_FILE}-journal")
    journal.write_text("cut")
    path.with_name(REPLAY_FILE).write_text("no database")
    assert figures(path) == before
    assert not draft.exists()
    assert not journal.exists()


def test_file_of_sums_before_is_not_used(path: Path, before: tuple[object, ...]) -> None:
    """It was left when the sums were lost once more, and has not what moved since."""
    stale = path.with_name(REPLAY_FILE)
    with closing(sqlite3.connect(stale)) as connection:
        connection.execute("CREATE TABLE exposures (seq)")
    assert figures(path) == before


def test_archive_that_cannot_be_read_is_told(
    path: Path, before: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a report, with the file; the keeper tries again after ten minutes, not at once."""
    day_files(path, "events")[0].write_text("no Parquet")
    with pytest.raises(StoreError, match=r"archived days cannot be added up: .*rows\.parquet"):
        figures(path)
    del before
    clock = Clock()
    started: list[Path] = []

    start_replay = replay_process._start

    def start(events: Path) -> subprocess.Popen[bytes]:
        started.append(events)
        return start_replay(events)

    monkeypatch.setattr(replay_process, "_start", start)
    keeper = RollupKeeper(path, monotonic_s=clock)
    assert not keeper.step()
    keeper._replay.wait()
    with pytest.raises(StoreError, match=r"rows\.parquet"):
        keeper.step()
    keeper.give_back()
    assert not keeper.step()
    assert len(started) == 1
    clock.now_s += replay_process.REPLAY_AGAIN_S
    assert not keeper.step()
    assert len(started) == 2
    keeper._replay.wait()
    keeper._replay.close()
    keeper.give_back()


def forget_units(path: Path, keys: list[str]) -> int:
    """Take persons out of everything that holds rows, as an erasure does; count what was beside."""
    with archive_lock(path):
        finish_moves(path)
        erase_archived(path, keys)
        n_rows = log_replay.forget(path, keys)
        delete_rows(path, keys)
    erase_units(path, keys)
    return n_rows


def rows_of(file: Path, keys: list[str]) -> int:
    """Count a file's rows with one of two pseudonyms, of all tables that people are in."""
    with closing(sqlite3.connect(file)) as connection:
        return sum(
            connection.execute(
                f"SELECT count(*) FROM {table} WHERE {column} IN (?, ?)", keys
            ).fetchone()[0]
            for table in log_replay.REPLAYED
            for column in COLUMNS[table]
        )


@pytest.mark.parametrize("n_turns", [1, 2, 12, 30, 60, 75])
def test_erasure_goes_between_any_two_slices(
    path: Path, before: tuple[object, ...], n_turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store's rows, archived days or indexes are written: nothing of a person stays.

    Neither what was copied, nor what an open file of the archive would still have given.
    """
    monkeypatch.setattr(replay_writing, "SLICE_ROWS", 40)
    monkeypatch.setattr(archive, "BATCH_ROWS", 5)
    open_rollup(path, max_new=0).close()
    keys = ["u3", "u4"]
    turns: list[int] = []
    seen: list[int] = []

    @contextmanager
    def erase_after(events: Path) -> Iterator[None]:
        with archive_turn(events):
            yield
        turns.append(1)
        if len(turns) == n_turns:
            seen.append(forget_units(path, keys))
            draft = path.with_name(f"{REPLAY_FILE}.part")
            assert not draft.exists() or not rows_of(draft, keys)

    monkeypatch.setattr(replay_writing, "archive_turn", erase_after)
    write_replay(path)
    assert len(seen) == 1
    assert (seen[0] > 0) == (n_turns > 2)
    assert rows_of(path.with_name(REPLAY_FILE), keys) == 0
    with closing(open_rollup(path)) as sums:
        found = {key for (key,) in sums.execute("SELECT key FROM keys")}
    assert {"u1", "u2", "u5"} <= found
    assert not found & set(keys)
    forget_sums(path)
    monkeypatch.undo()
    with closing(open_rollup(path)) as sums:
        assert {key for (key,) in sums.execute("SELECT key FROM keys")} == found
    del before


def test_who_waits_for_the_lock_goes_before_the_next_slice(path: Path) -> None:
    """Long work sees that somebody waits, and does not take the lock from under their nose."""
    order: list[str] = []
    begun = Event()

    def erase() -> None:
        begun.set()
        with archive_lock(path):
            order.append("erased")

    with ThreadPoolExecutor(1) as pool:
        with archive_turn(path):
            assert not is_archive_awaited(path)
            erasing = pool.submit(erase)
            assert begun.wait(30)
            while not is_archive_awaited(path):
                time.sleep(0)
            assert not order
        with archive_turn(path):
            order.append("written")
        erasing.result(30)
    assert order == ["erased", "written"]


def test_index_is_cut_off_for_who_waits_and_made_again(
    path: Path, before: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every index that the store has is there in the end; the lock was free in between."""
    looks: list[bool] = []

    def is_awaited(events: Path) -> bool:
        with archive_lock_is_held(events):
            looks.append(len(looks) < 3)
        return looks[-1]

    monkeypatch.setattr(replay_writing, "_STEPS_A_LOOK", 100)
    monkeypatch.setattr(replay_writing, "is_archive_awaited", is_awaited)
    write_replay(path)
    assert looks[:4] == [True, True, True, False]
    query = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'events'"
    with (
        closing(sqlite3.connect(path)) as store,
        closing(sqlite3.connect(path.with_name(REPLAY_FILE))) as replay,
    ):
        assert set(store.execute(query)) == set(replay.execute(query))
    assert figures(path) == before


@contextmanager
def archive_lock_is_held(path: Path) -> Iterator[None]:
    """Assert that somebody has the lock."""
    with path.with_name(LOCK_FILE).open("a") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield


def test_file_stays_until_all_sums_have_read_it(path: Path) -> None:
    """Counts of banners and of rollouts that are made anew read the same file, whoever ends first.

    Made anew while the other reads it, they do not take it away either.
    """
    archive_old_days(path, 10, now_ms=NOW_MS)
    for file in path.parent.glob("banners.sqlite*"):
        file.unlink()
    forget_sums(path)
    replay = path.with_name(REPLAY_FILE)
    read_archive(path)
    with open_banner_counts(path) as counts:
        assert log_replay.is_replaying(counts)
        open_rollup(path).close()
        assert replay.exists()
        fold_banners(counts, NOW_MS)
        assert not replay.exists()
        assert not log_replay.is_replaying(counts)
    assert not list(path.parent.glob(f"{REPLAY_FILE}*"))


class Clock:
    """Seconds that the test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        """Read it."""
        return self.now_s
