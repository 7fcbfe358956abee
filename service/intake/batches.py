"""Reads that come together share one hop to a thread, which costs more than a read does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Batches(Generic[K, V]):
    """Gathers keys while the thread is busy, and reads all of them in one call.

    `read_all` runs in the thread and returns what was read in the order of the keys; an exception
    among it is raised for its key alone. Everything else runs in the event loop.
    """

    def __init__(self, thread: Executor, read_all: Callable[[list[K]], Sequence[V | Exception]]):
        self._thread = thread
        self._read_all = read_all
        self._waiting: dict[K, asyncio.Future[V]] = {}
        self._running: asyncio.Task[None] | None = None

    async def read(self, key: K) -> V:
        """Read one key with all that wait; a caller that gives up stops no read."""
        loop = asyncio.get_running_loop()
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = loop.create_future()
            future.add_done_callback(_mark_seen)
        if self._running is None:
            self._running = loop.create_task(self._run())
        return await asyncio.shield(future)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, {}
                await self._read_batch(batch)
        finally:
            self._running = None

    async def _read_batch(self, batch: dict[K, asyncio.Future[V]]) -> None:
        loop = asyncio.get_running_loop()
        found: Sequence[V | Exception]
        try:
            found = await loop.run_in_executor(self._thread, self._read_all, list(batch))
        except Exception as error:  # it is theirs who wait
            found = [error] * len(batch)
        for future, value in zip(batch.values(), found, strict=True):
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)


def _mark_seen(future: asyncio.Future[V]) -> None:
    """Look at the exception, for nobody may be waiting any more."""
    if not future.cancelled():
        future.exception()
