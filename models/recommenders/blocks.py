"""Work cut into blocks of rows that threads share, with a result that no number of threads changes.

A block is computed by one thread from start to end, the linear algebra inside it included, and
blocks are put together in their order: so one core and sixty-four sum in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import ThreadpoolController

T = TypeVar("T")

BLOCK_VALUES = 8_000_000
"""Values of a dense block, 32 MB of float32."""
GRAM_ROWS = 8_192


def n_threads() -> int:
    """Count the cores that this process may use; ``OMP_NUM_THREADS`` lowers it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(min(cores or 1, int(wanted) if wanted.isdigit() and int(wanted) else 1 << 16), 1)


def one_blas_thread() -> AbstractContextManager[object]:
    """Let the linear algebra of a whole run be done by one thread each, for `map_blocks` to share.

    The limit is the process's: whoever begins works in threads holds it around all of them.
    """
    limits: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limits


@cache
def _libraries() -> ThreadpoolController:
    """Look once for the libraries of linear algebra, those of numpy and scipy: that takes 1 ms."""
    import_module("scipy.linalg")
    return ThreadpoolController()


_is_over: ContextVar[Callable[[], bool]] = ContextVar("is_over", default=lambda: False)


def is_over() -> Callable[[], bool]:
    """Return what says whether anybody still waits for what this thread works on."""
    return _is_over.get()


def end_if_over() -> None:
    """End the work of this thread if nobody waits for it any more.

    Raises
    ------
    CancelledError
        If so.
    """
    _go_on(_is_over.get())


@contextmanager
def asking(stops: Callable[[], bool]) -> Iterator[None]:
    """Let the work of this thread end at its next block once `stops` says so.

    Raises
    ------
    CancelledError
        If it says so already, and from `map_blocks` later.
    """
    before = _is_over.set(stops)
    try:
        _go_on(stops)
        yield
    finally:
        _is_over.reset(before)


def _go_on(stops: Callable[[], bool]) -> None:
    if stops():
        raise CancelledError("nobody waits for it any more")


def map_blocks(n_rows: int, size: int, work: Callable[[slice], T]) -> list[T]:
    """Call `work` for every block of at most `size` rows; results come in order."""
    size, stops = max(size, 1), is_over()

    def one(rows: slice) -> T:
        _go_on(stops)
        return work(rows)

    blocks = [slice(begin, min(begin + size, n_rows)) for begin in range(0, n_rows, size)]
    with (
        one_blas_thread(),
        ThreadPoolExecutor(max_workers=min(n_threads(), max(len(blocks), 1))) as pool,
    ):
        return list(pool.map(one, blocks))


def rows_of_size(n_columns: int) -> int:
    """Return how many rows of `n_columns` values make a block."""
    return max(BLOCK_VALUES // max(n_columns, 1), 1)


def sparse_times_dense(left: csr_matrix, right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply ``left @ right`` in float32, shape (n_rows, n_columns of `right`)."""
    product = np.empty((left.shape[0], right.shape[1]), dtype=np.float32)

    def multiply(rows: slice) -> None:
        product[rows] = left[rows] @ right

    map_blocks(left.shape[0], 2_048, multiply)
    return product


def gram(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Multiply ``left.T @ right`` of two tall matrices, summed in float64."""

    def multiply(rows: slice) -> NDArray[np.float64]:
        return np.asarray(left[rows].T @ right[rows], dtype=np.float64)

    zero = np.zeros((left.shape[1], right.shape[1]))
    return sum(map_blocks(len(left), GRAM_ROWS, multiply), start=zero)


def times_small(tall: NDArray[np.float32], small: NDArray[np.generic]) -> NDArray[np.float32]:
    """Multiply a tall matrix by a small one, ``tall @ small``."""
    right = np.ascontiguousarray(small, dtype=np.float32)
    product = np.empty((len(tall), right.shape[1]), dtype=np.float32)

    def multiply(rows: slice) -> None:
        np.matmul(tall[rows], right, out=product[rows])

    map_blocks(len(tall), GRAM_ROWS, multiply)
    return product
