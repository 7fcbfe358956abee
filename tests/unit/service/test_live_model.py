"""The live model: swapped in whole, and the old one kept when the new one cannot be opened."""

import shutil
from pathlib import Path

from structlog.testing import capture_logs

from models.array_cache import AT_ONCE
from models.artifact import ArtifactStore
from service.live_model import AGAIN_S, LiveModel
from tests.snapshots import tiny_snapshot


def publish(store: ArtifactStore, user_id: str) -> str:
    """Publish the tiny shop with one user, and promote it."""
    version = store.publish(tiny_snapshot("", user_id))
    store.promote(version)
    return version


def test_live_model_follows_the_pointer(tmp_path: Path) -> None:
    """Nothing before the first model, each promoted version once, and back after a rollback."""
    store, swaps = ArtifactStore(tmp_path), list[str]()
    live = LiveModel(store, swaps.append)
    assert not live.refresh()
    assert live.get() is None
    first = publish(store, "a" * 32)
    assert live.refresh()
    assert not live.refresh()
    second = publish(store, "b" * 32)
    assert live.refresh()
    store.rollback()
    assert live.refresh()
    snapshot = live.get()
    assert snapshot is not None
    assert (snapshot.version, swaps) == (first, [first, second, first])


def test_live_model_keeps_the_old_one_when_the_new_one_is_damaged(tmp_path: Path) -> None:
    """A version whose files are gone leaves the one in memory answering; it is tried once."""
    store = ArtifactStore(tmp_path)
    live = LiveModel(store, lambda _version: None)
    first = publish(store, "a" * 32)
    live.refresh()
    second = publish(store, "b" * 32)
    for table in (tmp_path / "models" / second).glob("*.lance"):
        table.rename(table.with_suffix(".gone"))
    assert not live.refresh()
    assert not live.refresh()
    assert live.version == first


def test_version_that_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    """As for want of room: it is told once, and swapped in without a restart when there is room."""
    store, now_s = ArtifactStore(tmp_path), [1_000.0]
    live = LiveModel(store, lambda _version: None, now_s=lambda: now_s[0])
    version = publish(store, "a" * 32)
    cache = store.cache_folder(version).parent
    shutil.rmtree(cache, ignore_errors=True)
    cache.write_text("no room for a folder")
    with capture_logs() as logs:
        for _ in range(3):
            assert not live.refresh()
            now_s[0] += AGAIN_S
    assert [one["event"] for one in logs] == ["model_open_failed"]
    assert not live.refresh()
    cache.unlink()
    now_s[0] += AGAIN_S - 1
    assert not live.refresh()
    now_s[0] += 1
    assert live.refresh()
    assert live.version == version


def test_live_model_outlives_a_pointer_that_cannot_be_read(tmp_path: Path) -> None:
    """Bytes that are no text leave the old one answering, and a mended pointer is followed."""
    store = ArtifactStore(tmp_path)
    live = LiveModel(store, lambda _version: None)
    first = publish(store, "a" * 32)
    live.refresh()
    pointer = tmp_path / "models" / "live"
    pointer.write_bytes(b"\xff\xfe\x00")
    assert not live.refresh()
    assert live.version == first
    pointer.unlink()
    second = publish(store, "b" * 32)
    assert live.refresh()
    assert live.version == second


def test_copies_that_nobody_reads_go(tmp_path: Path) -> None:
    """After three models an hour apart the copies of the live one and the one before are left."""
    store = ArtifactStore(tmp_path)
    live = LiveModel(store, lambda _version: None, now_s=lambda: 1e12)
    versions = []
    for letter in "abc":
        versions.append(publish(store, letter * 32))
        assert live.refresh()
    kept = {folder.name for folder in (tmp_path / "cache").iterdir() if folder.is_dir()}
    assert kept == set(versions[1:])


def test_fresh_copies_stay(tmp_path: Path) -> None:
    """Another process may just be opening one."""
    store = ArtifactStore(tmp_path)
    live = LiveModel(store, lambda _version: None)
    versions = []
    for letter in "abc":
        versions.append(publish(store, letter * 32))
        live.refresh()
    kept = {folder.name for folder in (tmp_path / "cache").iterdir() if folder.is_dir()}
    assert kept == set(versions)


def test_opening_leaves_room_for_others(tmp_path: Path) -> None:
    """A breath is taken before every few arrays of a new version are mapped."""
    store = ArtifactStore(tmp_path)
    publish(store, "a" * 32)
    breaths: list[None] = []
    LiveModel(store, lambda _version: None).refresh(lambda: breaths.append(None))
    n_arrays = len(store.open(store.versions()[0].version).manifest.checksums)
    assert len(breaths) >= n_arrays // AT_ONCE > 3
