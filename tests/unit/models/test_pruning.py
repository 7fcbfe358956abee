"""Old versions and copies are removed; nothing that is needed is."""

import os
from pathlib import Path

import numpy as np
import pytest

from models.artifact import ArtifactStore
from models.errors import ArtifactError, NotFoundError
from models.pruning import Pruned, prune_cache, prune_versions
from tests.unit.models.small_snapshot import make_snapshot


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """Return an empty store."""
    return ArtifactStore(tmp_path)


def publish(store: ArtifactStore, n: int) -> list[str]:
    """Publish so many versions, the newest last."""
    return [store.publish(make_snapshot(created_at_ms=day, data_until_ms=day)) for day in range(n)]


def names(folder: Path) -> list[str]:
    """List what is in a folder, but for locks and the pointer."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_the_newest_the_live_one_and_the_one_before_stay(
    store: ArtifactStore, tmp_path: Path
) -> None:
    """Rollback works as before, once; and then says that no other version was live."""
    a, b, c, d, e, f = publish(store, 6)
    for version in (a, c, b):
        store.promote(version)
    opened, before = store.open(a), make_snapshot().to_arrays()
    size = sum(path.stat().st_size for path in tmp_path.rglob(f"*{a}/**/*") if path.is_file())
    size += sum(path.stat().st_size for path in tmp_path.rglob(f"*{d}/**/*") if path.is_file())
    planned = prune_versions(store, 2, is_dry=True)
    assert names(tmp_path / "models") == sorted([a, b, c, d, e, f])
    done = prune_versions(store, 2)
    expected = Pruned(live=b, removed=[d, a], kept=[f, e, c, b], freed_bytes=size)
    assert planned == done == expected
    assert names(tmp_path / "models") == sorted([b, c, e, f])
    assert names(tmp_path / "cache") == []
    arrays = opened.to_arrays()  # whoever has it open keeps reading it
    for name, array in before.items():
        np.testing.assert_array_equal(arrays[name], array)
    with pytest.raises(NotFoundError, match="does not exist"):
        store.promote(a)
    assert store.rollback() == c
    assert prune_versions(store, 2).removed == [b]  # gone back from, and old
    store.promote(f)
    assert (store.live_version(), store.previous_version()) == (f, c)
    assert prune_versions(store, 1).kept == [f, c]


def test_home_without_versions_or_without_a_live_one(store: ArtifactStore) -> None:
    """Nothing to remove is no error; without a live version the newest are what is kept."""
    assert prune_versions(store, 3) == Pruned(live=None, removed=[], kept=[], freed_bytes=0)
    a, b = publish(store, 2)
    done = prune_versions(store, 1)
    assert (done.live, done.removed, done.kept) == (None, [a], [b])


def test_folder_that_cannot_be_removed_is_an_error_with_a_next_step(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is whole and named; what was moved aside is removed by the next who writes."""
    a, b, c = publish(store, 3)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == a:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(ArtifactError, match=f"cannot remove model version {a}: .*prune again"):
            prune_versions(store, 1)
    assert [manifest.version for manifest in store.versions()] == [c, a]
    (tmp_path / "models" / f".staging-{b}").mkdir()
    assert prune_versions(store, 1).removed == [a]
    assert names(tmp_path / "models") == [c]


def test_copies_made_a_while_ago_are_removed_but_for_those_in_use(
    store: ArtifactStore, tmp_path: Path
) -> None:
    """They are made again when their version is opened."""
    a, b, c = publish(store, 3)
    for version, made_s in ((a, 1), (b, 1), (c, 9)):
        store.open(version)
        os.utime(tmp_path / "cache" / version, (made_s, made_s))
    assert prune_cache(store, {b}, before_s=5) == [a]
    assert names(tmp_path / "cache") == sorted([b, c])
    assert store.open(a).manifest.version == a
