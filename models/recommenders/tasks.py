"""Works that run beside each other: what one does on a single core, the others fill up.

Every work computes the same whether others run or not, so what comes out does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from threading import Event
from typing import Any, TypeVar

from models.recommenders.blocks import asking, is_over, n_threads

T = TypeVar("T")
Stage = Callable[[str], AbstractContextManager[object]]
"""Opens what measures a work of this name."""

MAX_TASKS = 64
"""Works under way at once, those included that wait for others."""


class Tasks:
    """Begins works in threads of their own; without a pool each is done when it is asked for."""

    __slots__ = ("_pool", "_stage", "_stops")

    def __init__(
        self, pool: ThreadPoolExecutor | None, stage: Stage, stops: Callable[[], bool]
    ) -> None:
        self._pool = pool
        self._stage = stage
        self._stops = stops

    def begin(
        self, name: str, work: Callable[..., T], *needs: Callable[[], Any]
    ) -> Callable[[], T]:
        """Begin `work` as soon as all it `needs`, which it is called with, is there.

        Gives a function that waits for the result or raises the error.
        """

        def run() -> T:
            found = [need() for need in needs]
            with asking(self._stops), self._stage(name):
                return work(*found)

        return cache(run) if self._pool is None else self._pool.submit(run).result


@contextmanager
def side_by_side(stage: Stage = nullcontext) -> Iterator[Tasks]:
    """Give tasks that end with the block; on one thread they run one after the other.

    A work may need one that was begun before it. After an error, or Ctrl-C, no work begins, and
    those under way end with their next block of rows.
    """
    outer, failed = is_over(), Event()

    def stops() -> bool:
        return failed.is_set() or outer()

    if n_threads() == 1:
        yield Tasks(None, stage, outer)
        return
    pool = ThreadPoolExecutor(max_workers=MAX_TASKS)
    try:
        yield Tasks(pool, stage, stops)
    except BaseException:
        failed.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
