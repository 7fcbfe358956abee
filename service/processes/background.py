"""Background tasks of a process: each runs as long as the process, whatever goes wrong once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress

import structlog

RESTART_S = 1.0

Work = Callable[[], Coroutine[None, None, None]]

_log = structlog.get_logger(__name__)


def keep_running(stack: AsyncExitStack, work: Work, *, restart_s: float = RESTART_S) -> None:
    """Run `work` until the stack closes; if it fails, say so and begin it again."""
    task = asyncio.get_running_loop().create_task(_run(work, restart_s))

    async def stop() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)


async def _run(work: Work, restart_s: float) -> None:
    while True:
        try:
            await work()
        except Exception:  # a task's loop: without it, a worker would go on half deaf
            _log.exception("background_task_failed", task=getattr(work, "__qualname__", repr(work)))
            await asyncio.sleep(restart_s)
        else:
            return
