"""Learns that the process was told to stop, before the server waits for open connections.

A stream that never ends by itself would hold a worker until its drain time is over.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_stop_signal(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` on SIGTERM or SIGINT, then whatever handled the signal before.

    Outside the main thread, where no signal arrives, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {caught: signal.getsignal(caught) for caught in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, frame: FrameType | None) -> None:
        act()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for caught in before:
        signal.signal(caught, stop)
    try:
        yield
    finally:
        for caught, handler in before.items():
            if signal.getsignal(caught) is stop:
                signal.signal(caught, handler)
