"""Files of uploaded lists: one for each content, written whole, mapped by every worker.

A file is little-endian 64-bit numbers, ascending. The control store says which one is current.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Collection
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.stores.sqlite import reported

KEPT = 5
"""Newest files kept of each list, so that a worker that is behind finds what it looks for."""


class SegmentFiles:
    """The folder of lists below a home."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "segments"

    def write(self, key: str, numbers: NDArray[np.uint64]) -> str:
        """Store ascending numbers and return the name of their content."""
        data = numbers.astype("<u8", copy=False).tobytes()
        content = blake2b(data, digest_size=16).hexdigest()
        path = self._path(key, content)
        with reported(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            try:
                with draft.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            self._prune(path)
        return content

    def open(self, key: str, content: str, n_members: int) -> memoryview:
        """Map the numbers of a list into memory.

        Raises
        ------
        StoreError
            If its file is missing or holds another number of members.
        """
        path = self._path(key, content)
        with reported(path):
            if path.stat().st_size != 8 * n_members:
                raise OSError(f"it has {path.stat().st_size} bytes, not 8 a member")
            if n_members == 0:
                return memoryview(b"").cast("Q")
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return memoryview(mapped).cast("Q")

    def drop_old(self, numbers: Collection[int], current: Collection[tuple[str, str]]) -> int:
        """Delete files with one of these numbers, but for the (key, content) of `current`."""
        kept = {self._path(key, content) for key, content in current}
        n_files = 0
        with reported(self._folder):
            for path in self._folder.glob("*/*"):
                if path in kept:
                    continue
                members = np.fromfile(path, dtype="<u8")
                if np.isin(np.array(list(numbers), dtype=np.uint64), members).any():
                    path.unlink(missing_ok=True)
                    n_files += 1
        return n_files

    def _path(self, key: str, content: str) -> Path:
        return self._folder / key / f"{content}.u64"

    def _prune(self, current: Path) -> None:
        files = sorted(
            current.parent.glob("*.u64"), key=lambda path: path.stat().st_mtime_ns, reverse=True
        )
        for path in files[KEPT:]:
            if path != current:
                path.unlink(missing_ok=True)
