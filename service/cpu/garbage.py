"""When Python's garbage collector looks at what a worker keeps, and when it does not.

Pages stand still while it looks, some 0.6 µs an object. What a page leaves behind goes by itself,
for nothing of it is in a circle.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

COLLECT_AFTER = 1_000, 1, 5_000
"""Thresholds of the garbage collector. With 5,000 young objects, and the older ones after 20 of
those, pages stood still for 63 ms at a time. Looking at few of them each time costs no more in all.
A full collection looks at all that a worker keeps, so it is rare; Python 3.14 has none, and decides
itself how many of the old it looks at."""

_settled = Event()
"""The collector knows how much it hides (`gc.get_freeze_count`), but takes 10 ms to count it."""


def settle() -> None:
    """Hide what is there from the collector for good, and let it look at few objects at a time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    _settled.set()


@contextmanager
def held_off() -> Iterator[None]:
    """Let the collector wait, and in a process that settled hide what is there by then too.

    For the moment in which a model is opened: much is made, and stays. What was garbage in a circle
    and not collected yet stays for good, too; pages make none.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _settled.is_set():
            gc.freeze()
        if was_on:
            gc.enable()
