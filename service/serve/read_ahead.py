"""Brings a new model's pages into this process, or its first visitors would wait for each."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.snapshot import Snapshot
from service.cpu.breath import no_breath

PAGE_BYTES = mmap.PAGESIZE
PIECE_BYTES = 1 << 20
"""What is asked for at once: while pages are mapped, another thread that wants memory waits."""

# Advice to Linux. The second, of 5.14 and newer, has no name in Python's `mmap`.
_WILL_BE_NEEDED, _MAP_NOW = 3, 22


def read_ahead(snapshot: Snapshot, breathe: Callable[[], None] = no_breath) -> None:
    """Read all arrays from the disk, in the background, and map those that scoring reads.

    A thread that touches a page which is not in memory waits for the disk, and keeps the
    interpreter from all others meanwhile; the calls here leave it to them.
    """
    items, graph = snapshot.items, snapshot.graph
    for array in snapshot.to_arrays().values():
        _advise(array, _WILL_BE_NEEDED)
    breathe()
    for array in (graph.rows, graph.weights, items.factors, items.fold_in, items.popularity):
        if not _advise(array, _MAP_NOW, PIECE_BYTES):
            np.add.reduce(array.reshape(-1)[:: PAGE_BYTES // array.itemsize])


def _advise(array: NDArray[np.generic], advice: int, n_bytes: int = sys.maxsize) -> bool:
    """Advise the system on the pages of an array, so many bytes at once; tell whether it could."""
    begin = array.ctypes.data
    end = begin + array.nbytes
    begin -= begin % PAGE_BYTES
    return _advises and all(
        _madvise(at, min(n_bytes, end - at), advice) == 0 for at in range(begin, end, n_bytes)
    )


_advises = sys.platform == "linux"
if _advises:
    _madvise = ctypes.CDLL(None).madvise  # a call of ctypes leaves the interpreter to others
    _madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
