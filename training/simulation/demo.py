"""The whole demo: make a shop, train, serve, let shoppers in, measure, train again, stop.

It starts the trainer and the server as a user would, with `endcap` commands, and knows the service
by its HTTP interface only.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live

from models.errors import EndcapError
from training.simulation.api import Storefront
from training.simulation.browsing import Browsing
from training.simulation.counters import Counters
from training.simulation.display import Scene, draw
from training.simulation.invitation import addresses_of, invite
from training.simulation.office import Ledger
from training.simulation.outcome import sum_up
from training.simulation.preparing import DemoPlan, Stage, prepare
from training.simulation.processes import DemoError, run_endcap
from training.simulation.result import DemoResult, Retrained
from training.simulation.retraining import retrain
from training.simulation.shelves import ROLLOUT
from training.simulation.traffic import send_visitors
from training.simulation.truth import Truth

RETRAIN_FROM_S = 20.0
"""A run that ends earlier does not train again."""
RETRAIN_AFTER_S = 30.0
"""When an endless run trains again; one that ends, after a third of its time."""
SETTLE_WITHIN_S = 10.0
TRUTH_FILE = "truth.json"
_TICK_S = 0.5
_PLAIN_EVERY_S = 5.0


async def run_demo(plan: DemoPlan, console: Console) -> DemoResult:
    """Run the demo until its time is over or somebody stops it.

    Raises
    ------
    EndcapError
        If a part cannot start or ends. Whatever was started has ended by then.
    CancelledError
        If somebody stops it before the first visitor.
    """
    stop = asyncio.Event()
    try:
        async with AsyncExitStack() as cleanup:
            with _interrupts(stop) as interrupts:
                stage = await prepare(plan, console, cleanup)
                scene = _open_scene(plan, stage)
                interrupts.is_live = True
                invite(console, stage.server.url, stage.admin_key)
                retrained = await _go_live(plan, stage, scene, console, stop)
                with console.status("the last visits have ended; reading the report …"):
                    ledger = await _settle(stage, scene.ledger)
                    report = await run_endcap("report", ROLLOUT, "--home", str(plan.home))
            status = await stage.server.stop()
    except ExceptionGroup as group:
        raise _first_refusal(group) from group
    return sum_up(
        stage, scene, ledger=ledger, report=report, retrained=retrained, exit_status=status
    )


def _first_refusal(group: ExceptionGroup[Exception]) -> Exception:
    """Find the refusal that ended a group of tasks; a defect stays as it is."""
    refused = group.subgroup(EndcapError)
    while refused is not None:
        first = refused.exceptions[0]
        if not isinstance(first, ExceptionGroup):
            return first
        refused = first
    return group


@dataclass(slots=True)
class _Interrupts:
    is_live: bool = False
    """Whether there is something to end well; before that, an interrupt gives up at once."""


@contextlib.contextmanager
def _interrupts(stop: asyncio.Event) -> Iterator[_Interrupts]:
    """Let the first Ctrl-C end the visits, and a second one everything at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    interrupts = _Interrupts()

    def on_signal() -> None:
        if stop.is_set() or not interrupts.is_live:
            task.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        yield interrupts
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _open_scene(plan: DemoPlan, stage: Stage) -> Scene:
    config, url = stage.world.config, stage.server.url
    return Scene(
        counters=Counters(truth=Truth.read(plan.home / TRUTH_FILE)),
        headline=(
            f"{config.n_items:,} items · {config.n_shoppers:,} shoppers · "
            f"{stage.facts.n_rows:,} rows of history · seed {config.seed}"
        ),
        addresses=[
            *((f"the {name}", address) for name, address in addresses_of(url).items()),
            ("admin key", stage.admin_key),
        ],
        seconds=plan.seconds,
    )


async def _go_live(
    plan: DemoPlan, stage: Stage, scene: Scene, console: Console, stop: asyncio.Event
) -> Retrained | None:
    """Let visitors in until `stop`, and draw the scene meanwhile."""
    counters = scene.counters
    shop = Browsing.of(
        stage.world,
        Storefront(stage.shoppers, counters),
        counters,
        {banner.id: banner.leaf_rows for banner in stage.banners},
    )
    run_id = f"v{secrets.token_hex(4)}"
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(
                send_visitors(shop, plan.pace, stop, run_id=run_id, clock=time.monotonic)
            )
            again = group.create_task(_train_again(plan, stage, scene))
            await _watch(stage, scene, console, stop, again)
            again.cancel()
    finally:
        counters.truth.write(plan.home / TRUTH_FILE)
    return None if again.cancelled() else again.result()


async def _watch(
    stage: Stage,
    scene: Scene,
    console: Console,
    stop: asyncio.Event,
    again: asyncio.Task[Retrained | None],
) -> None:
    """Draw the scene every tick; set `stop` when the time is over and no training goes on."""
    begin = last = time.monotonic()
    n_calls = 0
    told_s = 0.0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TICK_S)
            now = time.monotonic()
            scene.elapsed_s = now - begin
            scene.rates.append((scene.counters.n_calls - n_calls) / max(now - last, 1e-9))
            last, n_calls = now, scene.counters.n_calls
            scene.ledger = await stage.office.read_ledger() or scene.ledger
            if console.is_terminal:
                live.update(draw(scene), refresh=True)
            elif scene.elapsed_s - told_s >= _PLAIN_EVERY_S:
                told_s = scene.elapsed_s
                console.print(_plain_line(scene), highlight=False)
            if scene.seconds is not None and scene.elapsed_s >= scene.seconds and again.done():
                stop.set()
            if not stage.server.is_running:
                stop.set()
                raise DemoError(
                    f"the server ended in the middle of the visits; see {stage.server.log}"
                )


async def _train_again(plan: DemoPlan, stage: Stage, scene: Scene) -> Retrained | None:
    """Train once more after a while; what goes wrong there is told and ends nothing."""
    if plan.seconds is not None and plan.seconds < RETRAIN_FROM_S:
        return None
    await asyncio.sleep(RETRAIN_AFTER_S if plan.seconds is None else plan.seconds / 3.0)
    scene.news.append("training again on the grown log, while shoppers go on …")
    again = await retrain(
        plan.home, stage.files, stage.artifacts, scene.counters, clock=time.monotonic
    )
    scene.news.append(again.in_words)
    return again


async def _settle(stage: Stage, ledger: Ledger) -> Ledger:
    """Wait until every exposure handed over is on disk, a short while at most."""
    deadline = time.monotonic() + SETTLE_WITHIN_S
    while time.monotonic() < deadline:
        ledger = await stage.office.read_ledger() or ledger
        if ledger.exposures_stored + ledger.exposures_dropped >= ledger.exposures_assigned:
            break
        await asyncio.sleep(0.1)
    return ledger


def _plain_line(scene: Scene) -> str:
    counters, ledger = scene.counters, scene.ledger
    return (
        f"{scene.elapsed_s:5.0f} s  {scene.rates[-1]:5.0f} calls/s  {counters.n_errors} errors  "
        f"{ledger.exposures_stored} of {ledger.exposures_assigned} exposures on disk"
    )
