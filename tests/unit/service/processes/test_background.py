"""Background tasks outlive a failure, and end with the process."""

import asyncio
from contextlib import AsyncExitStack

from service.processes.background import keep_running


def test_task_that_fails_begins_again_until_the_stack_closes() -> None:
    """Two failures, then it waits for ever; closing ends it."""
    begun: list[int] = []

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise OSError("gone")
        await asyncio.Event().wait()

    async def run() -> None:
        async with AsyncExitStack() as stack:
            keep_running(stack, work, restart_s=0)
            while len(begun) < 3:
                await asyncio.sleep(0)

    asyncio.run(run())
    assert begun == [0, 1, 2]


def test_task_that_is_done_stays_done() -> None:
    """It is not begun again."""
    begun: list[int] = []

    async def work() -> None:
        begun.append(1)

    async def run() -> None:
        async with AsyncExitStack() as stack:
            keep_running(stack, work, restart_s=0)
            for _ in range(5):
                await asyncio.sleep(0)

    asyncio.run(run())
    assert begun == [1]
