"""A model version as memory-mapped files: copied once per machine, shared by every worker process.

``cache/<version>/`` holds one ``.npy`` file per array. It is written beside its place and renamed,
so a process that is killed while it copies leaves nothing that another would open.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.durable import STAGING_PREFIX, staged_folder
from models.locks import file_lock
from models.snapshot import Arrays


def open_cached(
    folder: Path,
    names: Iterable[str],
    load: Callable[[], Arrays],
    breathe: Callable[[], None] = lambda: None,
) -> Arrays:
    """Map the arrays `names` in `folder`, which is first filled from `load` if it is not whole.

    Processes that come while one is filling wait for it. The arrays are read-only. `breathe` is
    called before each.
    """
    wanted = list(names)
    arrays = _map(folder, wanted, breathe)
    if arrays is not None:
        return arrays
    with file_lock(folder.with_name(f".{folder.name}.lock")):
        arrays = _map(folder, wanted, breathe)
        if arrays is None:
            for left in folder.parent.glob(f"{STAGING_PREFIX}{folder.name}-*"):
                shutil.rmtree(left, ignore_errors=True)
            _fill(folder, load())
            arrays = _map(folder, wanted, breathe)
    if arrays is None:
        raise OSError(
            f"the cache {folder} changed while it was written; remove the folder and retry"
        )
    return arrays


def _fill(folder: Path, arrays: Arrays) -> None:
    with staged_folder(folder) as staging:
        for name, array in arrays.items():
            np.save(staging / f"{name}.npy", array, allow_pickle=False)


def _map(folder: Path, names: list[str], breathe: Callable[[], None]) -> Arrays | None:
    """Map every array, or nothing if a file is missing or too short."""
    arrays: dict[str, NDArray[np.generic]] = {}
    try:
        for name in names:
            breathe()
            array = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            # A view as plain ndarray: indexing a memmap object costs a Python call each time.
            arrays[name] = array.view(np.ndarray)
    except (OSError, ValueError, EOFError):
        return None
    return arrays
