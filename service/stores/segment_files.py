"""Files of uploaded lists: one for each content, written whole, mapped by every worker.

A file is little-endian 64-bit numbers, ascending. The control store says which one is current.
Where several machines share it, it also holds the files, and each machine copies what is current.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Collection, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.durable import replace_file
from models.errors import StoreError
from service.stores.sqlite import reported

if TYPE_CHECKING:
    from service.stores.shared_files import SharedFiles

KEPT = 5
"""Newest files kept of each list, so that a worker that is behind finds what it looks for."""


class SegmentFiles:
    """The folder of lists below a home."""

    def __init__(self, home: Path, shared: SharedFiles | None = None) -> None:
        self._folder = home / "segments"
        self._shared = shared

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
        if self._shared is not None:
            self._shared.put("segments", _name(key, content), data)
            known = self._shared.names("segments", f"{key}/")
            self._shared.delete("segments", known[KEPT:])
        return content

    def open(self, key: str, content: str, n_members: int) -> memoryview:
        """Map the numbers of a list into memory.

        Raises
        ------
        StoreError
            If its file is missing or holds another number of members.
        """
        path = self._path(key, content)
        if self._shared is not None and not path.exists():
            self._copy(self._shared, key, content)
        with reported(path):
            if path.stat().st_size != 8 * n_members:
                raise OSError(f"it has {path.stat().st_size} bytes, not 8 a member")
            if n_members == 0:
                return memoryview(b"").cast("Q")
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return memoryview(mapped).cast("Q")

    def share(self, current: Iterable[tuple[str, str]]) -> int:
        """Give this machine's files of the (key, content) of `current` to the others; count."""
        assert self._shared is not None
        n_files = 0
        for key, content in current:
            path = self._path(key, content)
            with reported(path):
                data = path.read_bytes()
            self._shared.put("segments", _name(key, content), data)
            n_files += 1
        return n_files

    def drop_old(self, numbers: Collection[int], current: Collection[tuple[str, str]]) -> int:
        """Delete files with one of these numbers, but for the (key, content) of `current`."""
        kept = {self._path(key, content) for key, content in current}
        wanted = np.array(list(numbers), dtype=np.uint64)
        n_files = 0
        with reported(self._folder):
            for path in self._folder.glob("*/*"):
                if path in kept:
                    continue
                if np.isin(wanted, np.fromfile(path, dtype="<u8")).any():
                    path.unlink(missing_ok=True)
                    n_files += 1
        if self._shared is not None:
            names = {_name(key, content) for key, content in current}
            n_files += self._shared.delete(
                "segments",
                [
                    name
                    for name, data in self._shared.read_all("segments")
                    if name not in names and np.isin(wanted, np.frombuffer(data, dtype="<u8")).any()
                ],
            )
        return n_files

    def keep_only(self, current: Collection[tuple[str, str]]) -> None:
        """Drop this machine's copies of all but the (key, content) of `current`, if it has copies.

        Another machine may have erased a person from what was current before.
        """
        if self._shared is None:
            return
        kept = {self._path(key, content) for key, content in current}
        with reported(self._folder):
            for path in self._folder.glob("*/*.u64"):
                if path not in kept:
                    path.unlink(missing_ok=True)

    def _copy(self, shared: SharedFiles, key: str, content: str) -> None:
        data = shared.read("segments", _name(key, content))
        if data is None or blake2b(data, digest_size=16).hexdigest() != content:
            raise StoreError(
                f"the list {key!r} with the content {content} is not in the shared store; "
                "upload it again"
            )
        path = self._path(key, content)
        with reported(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, data)

    def _path(self, key: str, content: str) -> Path:
        return self._folder / key / f"{content}.u64"

    def _prune(self, current: Path) -> None:
        files = sorted(
            current.parent.glob("*.u64"), key=lambda path: path.stat().st_mtime_ns, reverse=True
        )
        for path in files[KEPT:]:
            if path != current:
                path.unlink(missing_ok=True)


def _name(key: str, content: str) -> str:
    return f"{key}/{content}"
