"""The console, and the streams that tell open pages and flag clients of changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from service.console.attempts import SignInAttempts
from service.console.console import Console
from service.console.key_names import KeyNames
from service.console.plotter import Plotter
from service.console.session import Sessions
from service.console.traffic import TrafficWindow
from service.control.changes import ChangeHub
from service.opening.control import Control
from service.opening.ground import Ground
from service.processes.drain import on_stop_signal


def open_changes(ground: Ground, control: Control) -> ChangeHub:
    """Tell clients of flags of changes to what rollouts answer."""
    hub = ChangeHub(
        control.current.get,
        ground.now_ms,
        ground.settings.change_clients,
        ground.metrics.change_clients.set,
    )
    _follow(ground, control, hub)
    return hub


def open_console(ground: Ground, control: Control) -> Console:
    """Make what the pages keep between requests; they hear of every change."""
    settings, current = ground.settings, control.current
    console = Console(
        sessions=Sessions(
            ground.pseudonymiser.derive("console sessions"), settings.console_session_hours
        ),
        attempts=SignInAttempts(),
        plotter=Plotter(),
        traffic=TrafficWindow(ground.now_ms()),
        key_names=KeyNames(control.store, lambda: current.get().revision),
        changes=ChangeHub(
            current.get,
            ground.now_ms,
            settings.change_clients,
            revision_in=lambda configuration: configuration.revision,
        ),
    )
    ground.stack.callback(console.plotter.close)
    _follow(ground, control, console.changes)
    return console


def _follow(ground: Ground, control: Control, hub: ChangeHub) -> None:
    """Wake a hub with each change, and end its streams when the process is told to stop."""
    loop = asyncio.get_running_loop()
    control.current.subscribe(partial(_call_in, loop, hub.wake))
    ground.keep_running(hub.watch_clock)
    ground.stack.enter_context(on_stop_signal(partial(_call_in, loop, hub.close)))


def _call_in(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """Call something in the event loop, from whatever thread, unless the loop has closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(act)
