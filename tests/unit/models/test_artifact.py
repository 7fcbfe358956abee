"""The artifact store: what is published is what is opened, and live moves only as a whole."""

import errno
import multiprocessing
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models import artifact
from models.artifact import ArtifactStore
from models.errors import ArtifactError, ConflictError, GateError, NotFoundError
from models.manifest import Gate, Manifest
from models.snapshot import Snapshot
from tests.unit.models.small_snapshot import make_snapshot


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """Return an empty store."""
    return ArtifactStore(tmp_path)


def assert_equal(left: Snapshot, right: Snapshot) -> None:
    """Compare all arrays of two snapshots, types and shapes included."""
    theirs = right.to_arrays()
    for name, array in left.to_arrays().items():
        other = theirs[name]
        assert (name, array.dtype, array.shape) == (name, other.dtype, other.shape)
        assert array.tobytes() == other.tobytes(), name


def test_publish_then_open_gives_equal_arrays(store: ArtifactStore) -> None:
    """Every array of an opened version is the published one, bit by bit."""
    snapshot = make_snapshot()
    version = store.publish(snapshot)
    opened = store.open(version)
    assert_equal(snapshot, opened)
    assert opened.version == version
    assert opened.items.ids.id(1) == "köpek"


def test_open_works_from_the_tables_alone(tmp_path: Path) -> None:
    """The cache can be thrown away: the LanceDB tables hold everything."""
    store = ArtifactStore(tmp_path)
    version = store.publish(make_snapshot())
    store.open(version)
    store.forget_cache(version)
    assert not (tmp_path / "cache" / version).exists()
    assert_equal(make_snapshot(), store.open(version))


def test_opened_arrays_are_read_only(store: ArtifactStore) -> None:
    """Nobody can change a version that other processes share."""
    snapshot = store.open(store.publish(make_snapshot()))
    with pytest.raises(ValueError, match="read-only"):
        snapshot.items.factors[0, 0] = 5.0


def test_version_is_a_hash_of_the_content(store: ArtifactStore) -> None:
    """The same content has the same version at another time, other content has another."""
    first = store.publish(make_snapshot(created_at_ms=1))
    assert len(first) == 16
    assert store.publish(make_snapshot(created_at_ms=2)) == first
    assert store.publish(make_snapshot(hyperparameters={"factors": 3.0})) != first
    assert len(store.versions()) == 2


def test_a_verdict_may_come_when_the_tables_are_written(store: ArtifactStore) -> None:
    """The name is settled before, and the manifest has what came last."""
    named = []

    def judge(manifest: Manifest) -> Manifest:
        named.append(manifest.version)
        return msgspec.structs.replace(manifest, gate=Gate(verdict="passed", reason="better"))

    version = store.publish(make_snapshot(), judge)
    assert named == [version] == [store.publish(make_snapshot())]
    assert store.manifest(version).gate == make_snapshot().manifest.gate
    assert store.publish(make_snapshot(), judge) == version
    assert store.manifest(version).gate.verdict == "passed"


def test_nothing_is_left_where_no_verdict_comes(store: ArtifactStore, tmp_path: Path) -> None:
    """Tables that were written in vain are taken away."""

    def give_up(manifest: Manifest) -> Manifest:
        raise CancelledError

    with pytest.raises(CancelledError):
        store.publish(make_snapshot(), give_up)
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".publish.lock"]


def test_publish_again_records_the_new_verdict(store: ArtifactStore) -> None:
    """A version that was refused and is then forced says so in its manifest."""
    store.publish(make_snapshot(gate=Gate(verdict="refused", reason="worse")))
    version = store.publish(make_snapshot(gate=Gate(verdict="forced", reason="worse, --force")))
    assert store.manifest(version).gate.verdict == "forced"


def test_publish_again_while_live_keeps_the_parent(store: ArtifactStore) -> None:
    """A version that is trained again from the same data does not become its own parent."""
    version = store.publish(make_snapshot(parent="0123456789abcdef"))
    assert store.publish(make_snapshot(parent=version)) == version
    assert store.manifest(version).parent == "0123456789abcdef"


def test_publish_never_moves_live(store: ArtifactStore) -> None:
    """Only promote decides what is served."""
    store.publish(make_snapshot())
    assert store.live_version() is None


def test_publish_promotes_what_the_gate_lets_pass(store: ArtifactStore) -> None:
    """While it may write: so nobody else was judged beside the version that was live before."""
    good = store.publish(make_snapshot(), goes_live=True)
    assert store.live_version() == good
    refused = make_snapshot(data_until_ms=2, gate=Gate(verdict="refused", reason="worse"))
    assert store.publish(refused, goes_live=True) != good
    assert store.live_version() == good


def test_publish_leaves_out_who_was_erased(store: ArtifactStore) -> None:
    """The version has the name that it would have had, and no row of the person."""
    whole = make_snapshot()
    gone = next(iter(whole.users.ids))
    version = store.publish(whole, erased=lambda ids: {gone} & {*ids})
    assert list(store.open(version).users.ids) == list(whole.users.ids)[1:]
    assert store.publish(whole) == version
    assert gone not in store.open(version).users.ids


def test_promote_and_rollback_move_live(store: ArtifactStore) -> None:
    """Rollback goes back one step, and another step when it is called again."""
    a, b, c = (store.publish(make_snapshot(data_until_ms=day)) for day in (1, 2, 3))
    for version in (a, b, b, c):
        store.promote(version)
    assert (store.live_version(), store.previous_version()) == (c, b)
    assert store.rollback() == b
    assert store.rollback() == a
    assert (store.live_version(), store.previous_version()) == (a, None)
    with pytest.raises(ConflictError, match="no other version was live before"):
        store.rollback()


def test_refused_version_goes_live_only_by_force(store: ArtifactStore) -> None:
    """The refusal names the reason, and the force is in the manifest."""
    version = store.publish(make_snapshot(gate=Gate(verdict="refused", reason="worse")))
    with pytest.raises(GateError, match=f"refused version {version}: worse; .*--force"):
        store.promote(version)
    assert store.live_version() is None
    store.promote(version, is_forced=True)
    assert store.live_version() == version
    gate = store.manifest(version).gate
    assert (gate.verdict, gate.reason) == ("forced", "worse; promoted with --force")
    assert_equal(make_snapshot(), store.open(version))
    store.publish(make_snapshot(gate=Gate(verdict="refused", reason="worse again")))
    assert store.manifest(version).gate == gate


def test_versions_are_listed_newest_first(store: ArtifactStore) -> None:
    """The list begins with the version that was made last."""
    old = store.publish(make_snapshot(created_at_ms=1, data_until_ms=1))
    new = store.publish(make_snapshot(created_at_ms=2, data_until_ms=2))
    assert [manifest.version for manifest in store.versions()] == [new, old]


@pytest.mark.parametrize("version", ["", "0123456789abcdef", "../../etc", "live"])
def test_unknown_version_is_named(store: ArtifactStore, version: str) -> None:
    """An unknown version is an error that names the known ones, and moves nothing."""
    known = store.publish(make_snapshot())
    store.promote(known)
    with pytest.raises(NotFoundError, match=known):
        store.promote(version)
    with pytest.raises(NotFoundError):
        store.open(version)
    assert store.live_version() == known


def test_empty_home_has_no_versions(store: ArtifactStore) -> None:
    """A home where nothing was trained lists nothing and has nothing live."""
    assert store.versions() == []
    assert store.live_version() is None


def _damage(data: Path) -> None:
    content = bytearray(data.read_bytes())
    middle = len(content) // 2
    content[: middle * 2] = bytes(255 - byte for byte in content[: middle * 2])
    data.write_bytes(bytes(content))


@pytest.mark.parametrize("harm", [_damage, Path.unlink, lambda path: path.write_bytes(b"")])
def test_open_detects_a_damaged_table(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    """A table whose file was changed, removed or emptied is not served, and leaves no cache."""
    store = ArtifactStore(tmp_path)
    version = store.publish(make_snapshot())
    harm(next((tmp_path / "models" / version / "items.lance" / "data").iterdir()))
    with pytest.raises(ArtifactError, match="cannot open model version"):
        store.open(version)
    assert not list((tmp_path / "cache").glob("[!.]*"))


def test_open_detects_a_changed_value(tmp_path: Path) -> None:
    """A table that is readable but holds another number fails its checksum."""
    store = ArtifactStore(tmp_path)
    first = store.publish(make_snapshot())
    changed = make_snapshot(hyperparameters={"factors": 3.0})
    changed.items.popularity[0] = 0.9
    second = store.publish(changed)
    models = tmp_path / "models"
    (models / first / "items.lance").rename(models / "aside")
    (models / second / "items.lance").rename(models / first / "items.lance")
    with pytest.raises(ArtifactError, match=r"checksum of items\.popularity"):
        store.open(first)


def test_open_refuses_another_format(tmp_path: Path) -> None:
    """A version of a later format is refused with the command that helps."""
    store = ArtifactStore(tmp_path)
    version = store.publish(make_snapshot(format_version=99))
    with pytest.raises(ArtifactError, match="format 99"):
        store.open(version)
    with pytest.raises(ArtifactError, match="format 99"):
        store.promote(version)


def test_damaged_manifest_is_an_artifact_error(tmp_path: Path) -> None:
    """A manifest that is no JSON is told by its path."""
    store = ArtifactStore(tmp_path)
    version = store.publish(make_snapshot())
    (tmp_path / "models" / version / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        store.manifest(version)


def test_open_repairs_a_half_written_cache(tmp_path: Path) -> None:
    """What a killed process left of a cache is replaced."""
    store = ArtifactStore(tmp_path)
    version = store.publish(make_snapshot())
    cache = tmp_path / "cache"
    half = cache / f".staging-{version}-dead"
    half.mkdir(parents=True)
    (half / "items.factors.npy").write_bytes(b"half")
    store.open(version)
    assert not half.exists()
    (cache / version / "items.factors.npy").write_bytes(b"\x93NUMPY")
    (cache / version / "items.price.npy").unlink()
    assert_equal(make_snapshot(), store.open(version))


def _full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["write_tables", "replace_file"])
def test_full_disk_leaves_live_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A disk that fills while publishing is an error with a next step, and leaves no rubbish."""
    store = ArtifactStore(tmp_path)
    live = store.publish(make_snapshot())
    store.promote(live)
    before = sorted(path.name for path in (tmp_path / "models").iterdir())
    monkeypatch.setattr(artifact, step, _full_disk)
    with pytest.raises(ArtifactError, match="No space left on device"):
        store.publish(make_snapshot(hyperparameters={"factors": 9.0}))
    assert store.live_version() == live
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == before


def test_full_disk_does_not_move_the_pointer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the pointer cannot be written, the old version stays live."""
    store = ArtifactStore(tmp_path)
    a, b = (store.publish(make_snapshot(data_until_ms=day)) for day in (1, 2))
    store.promote(a)
    monkeypatch.setattr("os.fsync", _full_disk)
    with pytest.raises(ArtifactError, match="No space left"):
        store.promote(b)
    assert store.live_version() == a
    assert not list((tmp_path / "models").glob(".staging-*"))


def test_publish_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    """Staging folders do not pile up."""
    left = tmp_path / "models" / ".staging-0123456789abcdef-dead"
    left.mkdir(parents=True)
    (left / "items").write_text("half")
    ArtifactStore(tmp_path).publish(make_snapshot())
    assert not left.exists()


def _open_and_sum(home: Path, version: str) -> float:
    return float(np.sum(ArtifactStore(home).open(version).items.factors))


@pytest.mark.slow
def test_two_processes_open_at_once(tmp_path: Path) -> None:
    """Processes that open a version at the same moment share one copy and read the same numbers."""
    version = ArtifactStore(tmp_path).publish(make_snapshot())
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        sums = pool.starmap(_open_and_sum, [(tmp_path, version)] * 3)
    assert sums == [4.0, 4.0, 4.0]
    assert [path.name for path in (tmp_path / "cache").glob("[!.]*")] == [version]


def test_pointer_that_cannot_be_read_is_an_error_with_a_next_step(
    store: ArtifactStore, tmp_path: Path
) -> None:
    """A damaged pointer is told apart from a missing one; without it, promote works again."""
    version = store.publish(make_snapshot())
    pointer = tmp_path / "models" / "live"
    pointer.write_bytes(b"\xff\xfe")
    with pytest.raises(ArtifactError, match="remove it, then choose one"):
        store.live_version()
    pointer.unlink()
    store.promote(version)
    assert store.live_version() == version
