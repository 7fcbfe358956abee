"""Reading ahead: advice to the system on whole pages, and the old way where it takes none."""

from pathlib import Path

import pytest

from models.artifact import ArtifactStore
from models.snapshot import Snapshot
from service.serve import read_ahead as reading
from service.serve.read_ahead import PAGE_BYTES, read_ahead
from tests.snapshots import tiny_snapshot


@pytest.fixture
def mapped(tmp_path: Path) -> Snapshot:
    """The tiny shop, in files."""
    store = ArtifactStore(tmp_path)
    return store.open(store.publish(tiny_snapshot("")))


def test_all_arrays_are_asked_for_and_some_are_mapped(
    mapped: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the beginning of a page to the last byte, in pieces where a call takes a while."""
    asked: list[tuple[int, int, int]] = []

    def advise(at: int, n_bytes: int, advice: int) -> int:
        asked.append((at, n_bytes, advice))
        return 0

    monkeypatch.setattr(reading, "_advises", True)
    monkeypatch.setattr(reading, "PIECE_BYTES", PAGE_BYTES)
    monkeypatch.setattr(reading, "_madvise", advise, raising=False)
    read_ahead(mapped)
    assert all(at % PAGE_BYTES == 0 for at, _, _ in asked)
    ends = {at + n_bytes for at, n_bytes, _ in asked}
    arrays = mapped.to_arrays()
    assert {one.ctypes.data + one.nbytes for one in arrays.values()} <= ends
    assert max(n_bytes for _, n_bytes, advice in asked if advice == 22) <= PAGE_BYTES


@pytest.mark.parametrize("advises", [True, False])
def test_system_that_takes_no_advice_is_no_failure(
    mapped: Snapshot, monkeypatch: pytest.MonkeyPatch, advises: bool
) -> None:
    """An older Linux refuses it, others do not know it; the pages are touched then."""
    monkeypatch.setattr(reading, "_advises", advises)
    monkeypatch.setattr(reading, "_madvise", lambda *_: -1, raising=False)
    breaths: list[None] = []
    read_ahead(mapped, lambda: breaths.append(None))
    assert len(breaths) == 1


def test_real_advice_is_taken(mapped: Snapshot) -> None:
    """Here, whatever the system is."""
    read_ahead(mapped)
