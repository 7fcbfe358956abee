"""Arrays in files, mapped: whatever numpy writes comes back as it was."""

import errno
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.array_cache import open_cached

ARRAYS: dict[str, NDArray[np.generic]] = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bytes": np.frombuffer(b"roses", dtype=np.uint8),
    "moments": np.array([1_700_000_000_000], dtype=np.int64),
    "yes": np.array([True, False]),
    "nothing": np.zeros((0, 4), dtype=np.float32),
    "one": np.array(7, dtype=np.int32),
    "columns first": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i4"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_mapped_array_is_what_was_written(tmp_path: Path, name: str) -> None:
    """Type, shape and values, as plain arrays that cannot be written to."""
    for _ in ("made", "there already"):
        mapped = open_cached(tmp_path / "copy", [name], lambda: ARRAYS)[name]
        assert type(mapped) is np.ndarray
        assert (mapped.dtype, mapped.shape) == (ARRAYS[name].dtype, ARRAYS[name].shape)
        assert mapped.tolist() == ARRAYS[name].tolist()
        assert not mapped.flags.writeable


@pytest.mark.parametrize("length", [0, 60, 131])
def test_file_that_was_cut_is_made_again(tmp_path: Path, length: int) -> None:
    """In its head or in its values; whoever maps it would else read beyond its end."""
    folder = tmp_path / "copy"
    open_cached(folder, ARRAYS, lambda: ARRAYS)
    file = folder / "floats.npy"
    file.write_bytes(file.read_bytes()[:length])
    mapped = open_cached(folder, ARRAYS, lambda: ARRAYS)
    assert mapped["floats"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert file.stat().st_size == 128 + 6 * 4


def test_no_room_for_a_map_is_told_and_nothing_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are whole when a process may not open another one; the error says which limit it is."""
    folder = tmp_path / "copy"
    open_cached(folder, ARRAYS, lambda: ARRAYS)
    before = folder.stat().st_ino

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("models.array_cache.mmap.mmap", full)
    with pytest.raises(OSError, match="Too many open files"):
        open_cached(folder, ["floats"], lambda: ARRAYS)
    assert folder.stat().st_ino == before
