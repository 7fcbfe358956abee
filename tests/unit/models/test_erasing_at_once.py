"""Several who erase users from a version, and others who read it meanwhile, get in nobody's way."""

import multiprocessing
import os
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import numpy as np
import pytest

from models import artifact
from models.artifact import ArtifactStore
from models.ragged import RowLists
from models.snapshot import Arrays, Snapshot
from models.version_tables import load_arrays, write_tables
from models.vocabulary import Vocabulary
from tests.unit.models.small_snapshot import make_snapshot

N_USERS = 8
TOGETHER = 4
"""Who erase one of the first users each, at the same moment."""


def name_of(row: int) -> str:
    """Name a user whose bytes stand in no file by chance."""
    return f"somebody-with-the-number-{row}"


def make_crowd() -> Snapshot:
    """Make the small snapshot with more users; each viewed one item, whose row says who it was."""
    snapshot = make_snapshot()
    crowd = replace(
        snapshot.users,
        ids=Vocabulary.from_ids(map(name_of, range(N_USERS))),
        history=RowLists.of([[row % 3] for row in range(N_USERS)]),
        history_kinds=np.zeros(N_USERS, dtype=np.int8),
        history_at_ms=np.arange(N_USERS, dtype=np.int64),
        purchased=RowLists.of([[] for _ in range(N_USERS)]),
        segments=RowLists.of([[] for _ in range(N_USERS)]),
    )
    return replace(snapshot, users=crowd)


def is_whole(snapshot: Snapshot) -> bool:
    """Say whether every user of a snapshot has their own history."""
    moments = snapshot.users.history_at_ms.tolist()
    return [name_of(moment) for moment in moments] == list(snapshot.users.ids)


def holding(home: Path, text: str) -> list[Path]:
    """Name the files in whose bytes a text stands."""
    files = [path for path in home.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


def assert_only_the_rest(home: Path, version: str) -> None:
    """Look into the copy, the tables and all files: the first users are gone, the others whole."""
    store = ArtifactStore(home)
    rest = [name_of(row) for row in range(TOGETHER, N_USERS)]
    for _ in ("as it is", "made again from the tables"):
        opened = store.open(version)
        assert list(opened.users.ids) == rest
        assert is_whole(opened)
        assert [holding(home, name_of(row)) for row in range(TOGETHER)] == [[]] * TOGETHER
        store.forget_cache(version)


def test_users_erased_at_once_are_all_gone(tmp_path: Path) -> None:
    """No erasure brings back whom another one has just taken out."""
    version = ArtifactStore(tmp_path).publish(make_crowd())
    ArtifactStore(tmp_path).open(version)
    start = Barrier(TOGETHER)

    def erase(row: int) -> bool:
        store = ArtifactStore(tmp_path)
        start.wait()
        return store.erase_users(version, [name_of(row)])

    with ThreadPoolExecutor(TOGETHER) as pool:
        assert list(pool.map(erase, range(TOGETHER))) == [True] * TOGETHER
    assert_only_the_rest(tmp_path, version)


def _erase_in_a_process(home: Path, version: str, row: int) -> bool:
    return ArtifactStore(home).erase_users(version, [name_of(row)])


@pytest.mark.slow
def test_processes_that_erase_at_once_undo_nothing(tmp_path: Path) -> None:
    """Two commands and a server are three processes."""
    version = ArtifactStore(tmp_path).publish(make_crowd())
    orders = [(tmp_path, version, row) for row in range(TOGETHER)]
    with multiprocessing.get_context("spawn").Pool(TOGETHER) as pool:
        assert pool.starmap(_erase_in_a_process, orders, chunksize=1) == [True] * TOGETHER
    assert_only_the_rest(tmp_path, version)


def test_version_opens_at_any_moment_of_an_erasure(tmp_path: Path) -> None:
    """A reader gets it with or without the user, never an error and never a mixture of both."""
    version = ArtifactStore(tmp_path).publish(make_crowd())
    is_over = Event()

    def read() -> int:
        n_read = 0
        while not (is_over.is_set() and n_read):
            opened = ArtifactStore(tmp_path).open(version)
            assert is_whole(opened)
            assert [each.version for each in ArtifactStore(tmp_path).settled_versions()]
            n_read += 1
        return n_read

    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(read) for _ in range(2)]
        try:
            for row in range(TOGETHER):
                ArtifactStore(tmp_path).erase_users(version, [name_of(row)])
        finally:
            is_over.set()
        assert all(each.result() for each in reading)
    assert_only_the_rest(tmp_path, version)


def test_copy_that_is_being_made_holds_nobody_erased_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever fills it from the tables has done so before, or sees them without the user."""
    store = ArtifactStore(tmp_path)
    version = store.publish(make_crowd())
    store.open(version)
    has_read, is_erased = Event(), Event()

    def load_slowly(*about: Any) -> Arrays:
        arrays = load_arrays(*about)
        has_read.set()
        _wait_a_moment(is_erased)
        return arrays

    def write_beside_a_reader(*about: Any) -> None:
        store.forget_cache(version)
        reading.append(pool.submit(ArtifactStore(tmp_path).open, version))
        _wait_a_moment(has_read)
        write_tables(*about)

    monkeypatch.setattr(artifact, "load_arrays", load_slowly)
    monkeypatch.setattr(artifact, "write_tables", write_beside_a_reader)
    reading: list[Future[Snapshot]] = []
    with ThreadPoolExecutor(1) as pool:
        assert store.erase_users(version, [name_of(0)])
        is_erased.set()
        reading[0].result()
    assert name_of(0) not in store.open(version).users.ids
    assert holding(tmp_path, name_of(0)) == []


def _wait_a_moment(event: Event) -> None:
    """Wait for another thread, which may in turn wait for this one: half a second at most."""
    event.wait(0.5)


def test_manifest_is_read_while_the_folder_changes_places(tmp_path: Path) -> None:
    """Between two renames the version lies under another name, and is no unknown one."""
    store = ArtifactStore(tmp_path)
    version = store.publish(make_crowd())
    manifest = store.manifest(version)
    folder = store.folder(version)
    folder.rename(folder.with_name(f".staging-{version}-12345678-old"))
    assert store.manifest(version) == manifest


def _die_erasing(home: Path, version: str, moment: str) -> None:
    """Erase the first user in a process of its own, which is killed on the way."""

    def write_and_die(*about: Any) -> None:
        write_tables(*about)
        os.kill(os.getpid(), signal.SIGKILL)

    def rename_and_die(path: Path, target: Path) -> Path:
        os.rename(path, target)  # noqa: PTH104  # the method is this function
        if target.name.endswith("-old"):
            os.kill(os.getpid(), signal.SIGKILL)
        return target

    patch = pytest.MonkeyPatch()
    if moment == "tables":
        patch.setattr(artifact, "write_tables", write_and_die)
    else:
        patch.setattr(Path, "rename", rename_and_die)
    ArtifactStore(home).erase_users(version, [name_of(0)])


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["tables", "between the renames"])
def test_erasure_that_was_killed_leaves_nothing_to_the_next(tmp_path: Path, moment: str) -> None:
    """What it had begun to write holds everybody else, so the next one removes or finishes it."""
    store = ArtifactStore(tmp_path)
    version = store.publish(make_crowd())
    dying = multiprocessing.get_context("spawn").Process(
        target=_die_erasing, args=(tmp_path, version, moment)
    )
    dying.start()
    dying.join()
    assert dying.exitcode == -signal.SIGKILL
    assert list((tmp_path / "models").glob(".staging-*"))
    assert [each.version for each in store.settled_versions()] == [version]
    assert not list((tmp_path / "models").glob(".staging-*"))
    for row in range(TOGETHER):
        store.erase_users(version, [name_of(row)])
    assert_only_the_rest(tmp_path, version)


def test_version_trained_again_stays_without_the_erased(tmp_path: Path) -> None:
    """It keeps its tables, so its manifest keeps the checksums that belong to them."""
    store = ArtifactStore(tmp_path)
    version = store.publish(make_crowd())
    for row in range(TOGETHER):
        store.erase_users(version, [name_of(row)])
    assert store.publish(make_crowd()) == version
    assert_only_the_rest(tmp_path, version)
