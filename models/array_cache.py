"""A model version as memory-mapped files: copied once per machine, shared by every worker process.

``cache/<version>/`` holds one ``.npy`` file per array. It is written beside its place and renamed,
so a process that is killed while it copies leaves nothing that another would open.
"""

from __future__ import annotations

import errno
import mmap
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.durable import STAGING_PREFIX, staged_folder
from models.locks import file_lock
from models.snapshot import Arrays

# What numpy writes before an array of plain numbers whose rows lie one behind the other.
_HEAD = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<type>[<|][a-z]\d+)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[\d, ]*)\), \} *\n",
    re.DOTALL,
)
_MAX_HEAD = 256
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

AT_ONCE = 8
"""Arrays that are mapped without a breath."""


def cache_lock(folder: Path) -> AbstractContextManager[None]:
    """Let one process at a time fill `folder`, or change what it is filled from."""
    return file_lock(folder.with_name(f".{folder.name}.lock"))


def open_cached(
    folder: Path,
    names: Iterable[str],
    load: Callable[[], Arrays],
    breathe: Callable[[], None] = lambda: None,
) -> Arrays:
    """Map the arrays `names` in `folder`, which is first filled from `load` if it is not whole.

    The caller holds `cache_lock`, so processes that come while one is filling wait for it. The
    arrays are read-only. `breathe` is called before every few of them.
    """
    wanted = list(names)
    arrays = map_cached(folder, wanted, breathe)
    if arrays is None:
        for left in folder.parent.glob(f"{STAGING_PREFIX}{folder.name}-*"):
            shutil.rmtree(left, ignore_errors=True)
        _fill(folder, load())
        arrays = map_cached(folder, wanted, breathe)
    if arrays is None:
        raise OSError(
            f"the cache {folder} changed while it was written; remove the folder and retry"
        )
    return arrays


def _fill(folder: Path, arrays: Arrays) -> None:
    with staged_folder(folder) as staging:
        for name, array in arrays.items():
            np.save(staging / f"{name}.npy", array, allow_pickle=False)


def map_cached(
    folder: Path, names: Iterable[str], breathe: Callable[[], None] = lambda: None
) -> Arrays | None:
    """Map every array, or nothing if a file is missing or too short.

    Raises
    ------
    OSError
        If the process or the system has no room for another: no fault of the files.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    try:
        for place, name in enumerate(names):
            if place % AT_ONCE == 0:
                breathe()
            arrays[name] = _map_array(folder / f"{name}.npy")
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise
        return None
    return arrays


def _map_array(path: Path) -> NDArray[np.generic]:
    """Map one file as `np.load` does, which takes six times as long and holds the interpreter.

    It reads the header as Python source, and its memmap finds out where the file really is.
    """
    with path.open("rb", buffering=0) as file:
        head = _HEAD.match(file.read(_MAX_HEAD))
        if head is None:
            # As a plain ndarray: indexing a memmap object costs a Python call each time.
            loaded: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
            return loaded.view(np.ndarray)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    shape = tuple(map(int, head["shape"].replace(b",", b" ").split()))
    try:
        return np.ndarray(shape, np.dtype(head["type"].decode()), mapped, head.end())
    except TypeError as error:  # as numpy says that the file is too short
        raise ValueError(str(error)) from error
