"""Training as a user does it: the first time, and again on what the live visits added."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.artifact import ArtifactStore
from training.simulation.counters import Counters
from training.simulation.files import WorldFiles
from training.simulation.processes import DemoError, run_endcap
from training.simulation.result import Retrained

SWAP_WITHIN_S = 15.0
_POLL_S = 0.05


async def train(
    home: Path, files: WorldFiles, on_line: Callable[[str], None], *logs: Path
) -> dict[str, Any]:
    """Run `endcap train` on the world's log and on more logs."""
    return await run_endcap(
        "train",
        *("--interactions", str(files.interactions)),
        *(part for log in logs for part in ("--interactions", str(log))),
        *("--catalog", str(files.catalog)),
        *("--home", str(home)),
        *("--tune-seconds", "0"),  # a demo is to be seen soon
        on_line=on_line,
    )


async def retrain(
    home: Path,
    files: WorldFiles,
    artifacts: ArtifactStore,
    counters: Counters,
    *,
    clock: Callable[[], float],
) -> Retrained:
    """Export what the visits added, train on the grown log, wait for the first new answer."""
    before, errors, begin = artifacts.live_version() or "", counters.n_errors, clock()
    log = home / "live_events.parquet"
    watch = asyncio.create_task(_see_swap(artifacts, before, counters, clock))
    swapped_after_s = failure = None
    try:
        await run_endcap("events", "export", "--home", str(home), "--output", str(log))
        await train(home, files, lambda _: None, log)
        if artifacts.live_version() != before:
            with contextlib.suppress(TimeoutError):
                swapped_after_s = await asyncio.wait_for(watch, SWAP_WITHIN_S)
    except DemoError as error:
        failure = error.message
    finally:
        watch.cancel()
    return Retrained(
        before=before,
        after=artifacts.live_version() or "",
        took_s=round(clock() - begin, 2),
        swapped_after_s=swapped_after_s,
        n_errors=counters.n_errors - errors,
        failure=failure,
    )


async def _see_swap(
    artifacts: ArtifactStore, before: str, counters: Counters, clock: Callable[[], float]
) -> float:
    """Wait for a version to go live and for the first page it answers; return the time between."""
    while (live := artifacts.live_version()) in (before, None):
        await asyncio.sleep(_POLL_S)
    begin = clock()
    while not counters.model_versions[live or ""]:
        await asyncio.sleep(_POLL_S)
    return round(clock() - begin, 2)
