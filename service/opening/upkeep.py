"""What runs beside requests: ramps, lifts over time, erasures, the end of what is old or free."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from models.heaps import give_back
from service.intake.opening import Intake
from service.opening.control import Control
from service.opening.ground import Ground
from service.opening.model import Model
from service.privacy.retention_runner import RetentionRunner
from service.privacy.worker_memory import WorkerMemory
from service.reports.lift_keeper import LiftKeeper
from service.reports.ramp_runner import RampRunner
from service.serve.engine import Engine
from service.settings import SUPERVISOR_VARIABLE
from service.stores.erasures import ErasureReader

GIVE_BACK_S = 10.0
"""It takes half a millisecond of the event loop, and up to 4 MB of 40 are free by then."""


def advance_rollouts(ground: Ground, control: Control) -> None:
    """Move ramps, and keep from time to time what the lifts are; one process of all does."""
    ramps = RampRunner(
        control.store,
        control.plane,
        ground.events,
        holder=ground.holder,
        now_ms=ground.now_ms,
        pages=ground.metrics.pages,
    )
    ground.keep_running(ramps.watch)
    lifts = LiftKeeper(
        control.store, control.plane, ground.events, holder=ground.holder, now_ms=ground.now_ms
    )
    ground.keep_running(lifts.watch)


def forget_people(
    ground: Ground, control: Control, intake: Intake, engine: Engine, model: Model
) -> None:
    """Follow erasures in this process's memory, and delete what has been kept long enough."""
    memory = WorkerMemory(intake, engine, model.live)
    erasures = ErasureReader(ground.events)
    ground.stack.callback(erasures.close)
    ground.keep_running(partial(memory.follow, erasures))
    retention = RetentionRunner(
        ground.events,
        ground.settings.kept_days,
        archive_days=ground.settings.archive_days,
        pictures=control.pictures,
        now_ms=ground.now_ms,
        named_pictures=lambda: {
            banner.image_url.rpartition("/")[2] for banner in control.current.get().banners.values()
        },
    )
    ground.stack.callback(retention.close)
    ground.keep_running(retention.watch)


def give_up_silent_databases(ground: Ground) -> Callable[[], None]:
    """Wait for no database that hangs, when the process stops; call it before any is opened.

    What it returns is to be called when all is open.
    """
    settings = ground.settings
    if isinstance(settings.event_log, Path) and isinstance(settings.control_place, Path):
        return lambda: None
    from service.stores.postgres_silence import SilenceWatch  # noqa: PLC0415  # an extra

    watch = SilenceWatch()
    ground.stack.callback(watch.end)

    def all_is_open() -> None:
        ground.stack.callback(watch.begin)

    return all_is_open


def follow_supervisor(ground: Ground) -> None:
    """Stop this worker when its supervisor is gone, so that no orphan keeps the port."""
    expected = os.environ.get(SUPERVISOR_VARIABLE)
    if expected is None or os.getpid() == int(expected):
        return

    async def watch() -> None:
        while os.getppid() == int(expected):
            await asyncio.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    ground.keep_running(watch)


def give_memory_back(ground: Ground) -> None:
    """Return to the system, from time to time, what a backlog or a report took and has left."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(GIVE_BACK_S)
            give_back()

    ground.keep_running(watch)
