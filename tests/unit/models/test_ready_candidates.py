"""What is worked out ahead is what would be worked out when the user comes."""

import errno
import os
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.candidates import N_READY, best_candidates, history_of, history_shares, taste_of
from models.ragged import Neighbours, RowLists
from models.ready_candidates import BLOCK, ReadyCandidates, fill, make_room, ready_name
from models.snapshot import Snapshot
from tests.benchmarks.serve.shop import make_snapshot
from tests.snapshots import tiny_snapshot

N_USERS = 2 * BLOCK + 7


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A shop of 400 items whose first user has no history."""
    made = make_snapshot(tmp_path_factory.mktemp("shop"), 400, N_USERS)
    users, offsets = made.users, made.users.history.offsets
    length = int(offsets[1])
    return replace(
        made,
        users=replace(
            users,
            history=RowLists(np.maximum(offsets - length, 0), users.history.rows[length:]),
            history_kinds=users.history_kinds[length:],
            history_at_ms=users.history_at_ms[length:],
        ),
    )


def _filled(shop: Snapshot, path: Path) -> ReadyCandidates:
    make_room(shop, path)
    assert fill(shop, path, range(N_USERS))
    return ReadyCandidates(shop, path)


def test_ready_candidates_are_those_worked_out_when_asked(shop: Snapshot, tmp_path: Path) -> None:
    """Shares, rows, scores and who spoke for them are the same to the last bit."""
    ready = _filled(shop, tmp_path / "ready")
    for user in range(N_USERS):
        taste, found = taste_of(shop, user), ready.get(user)
        assert found is not None
        assert found.shares.tolist() == taste.shares.tolist()
        for name in ("rows", "scores", "because"):
            assert getattr(found.best, name).tolist() == getattr(taste.best, name).tolist()
    nobody = ready.get(0)
    assert nobody is not None
    assert (len(nobody.shares), len(nobody.best.rows)) == (0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the file may have holes")
def test_file_has_room_for_all_before_it_is_mapped(shop: Snapshot, tmp_path: Path) -> None:
    """Reading a hole on a full disk in memory ends the process, and so each worker."""
    path = tmp_path / "ready"
    make_room(shop, path)
    found = path.stat()
    assert found.st_size > 512
    assert found.st_blocks * 512 >= found.st_size


def test_no_room_leaves_nothing_behind(
    shop: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there was room for is wanted by the stores; a disk that cannot reserve is no error."""

    def refuse(code: int) -> None:
        def reserve(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "posix_fallocate", reserve, raising=False)

    monkeypatch.setattr(sys, "platform", "linux")
    path = tmp_path / "ready"
    refuse(errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        make_room(shop, path)
    assert not path.exists()
    refuse(errno.EOPNOTSUPP)
    make_room(shop, path)
    assert path.stat().st_size > 512


def test_ready_candidates_are_the_first_that_were_not_bought(shop: Snapshot) -> None:
    """Among all that a history brings up, in the same order, and as many as there is room for."""
    for user in range(1, 20):
        history = history_of(shop, user)
        every = best_candidates(shop, history, history_shares(shop, history), 400)
        bought = shop.users.purchased[user].tolist()
        wanted = [row for row in every.rows.tolist() if row not in bought][:N_READY]
        assert taste_of(shop, user).best.rows.tolist() == wanted


def test_users_are_ready_one_by_one(shop: Snapshot, tmp_path: Path) -> None:
    """Whoever was worked out can be read; for the others there is nothing yet."""
    path = tmp_path / "ready"
    make_room(shop, path)
    ready = ReadyCandidates(shop, path)
    assert ready.get(5) is None
    assert fill(shop, path, [5])
    assert ready.get(5) is not None
    assert (ready.has([5]), ready.has([5, 6])) == (True, False)


def test_filling_ends_when_told_and_goes_on_where_it_was(shop: Snapshot, tmp_path: Path) -> None:
    """What was worked out before is kept."""
    path = tmp_path / "ready"
    make_room(shop, path)
    answers = iter((True, False))
    assert not fill(shop, path, range(N_USERS), lambda: next(answers))
    ready = ReadyCandidates(shop, path)
    assert ready.has(range(BLOCK))
    assert not ready.has([BLOCK])
    make_room(shop, path)
    assert ready.has(range(BLOCK))
    assert fill(shop, path, range(N_USERS))
    assert ready.has(range(N_USERS))


def test_history_without_weight_has_no_shares(tmp_path: Path) -> None:
    """One refund weighs nothing, so nothing is known of what its user likes."""
    tiny = tiny_snapshot()
    refund = replace(tiny.users, history_kinds=np.array([4, 4], dtype=np.int8))
    shop = replace(tiny, users=refund)
    make_room(shop, tmp_path / "ready")
    assert fill(shop, tmp_path / "ready", [0])
    found = ReadyCandidates(shop, tmp_path / "ready").get(0)
    assert found is not None
    assert (len(found.shares), len(found.best.rows)) == (0, 0)


def test_graph_that_is_silent_names_nobody(tmp_path: Path) -> None:
    """With factors alone no item of the history is said to have spoken."""
    tiny = tiny_snapshot(factor_weight=1.0)
    empty = np.empty(0, dtype=np.int32)
    silent = Neighbours(np.zeros(12, dtype=np.int64), empty, empty.astype(np.float32))
    ones = np.ones((11, 2), dtype=np.float32)
    shop = replace(tiny, graph=silent, items=replace(tiny.items, factors=ones, fold_in=ones))
    make_room(shop, tmp_path / "ready")
    assert fill(shop, tmp_path / "ready", [0])
    found = ReadyCandidates(shop, tmp_path / "ready").get(0)
    assert found is not None
    assert set(found.best.because.tolist()) == {-1}


def test_file_is_named_after_what_it_follows_from() -> None:
    """Whoever is erased from a version changes its checksums, and so the name."""
    manifest = tiny_snapshot().manifest
    name = ready_name(manifest)
    assert name == ready_name(tiny_snapshot().manifest)
    assert name != ready_name(msgspec.structs.replace(manifest, checksums={"users.ids.data": "0"}))


def test_file_of_another_size_is_refused(shop: Snapshot, tmp_path: Path) -> None:
    """One that was cut short cannot be read by mistake."""
    (tmp_path / "ready").write_bytes(b"short")
    with pytest.raises(ValueError, match="mmap length"):
        ReadyCandidates(shop, tmp_path / "ready")
