"""Runs a program of ours with what the system has left over, from before it is loaded.

``python -m service.cpu.step_back MODULE ARGUMENT...``. To load one takes half a second of a core,
which pages would miss. ``python -m service.cpu.step_back --nice 10 MODULE ARGUMENT...`` is for one
whose work is wanted soon: it has a tenth of what pages have where both want the same core.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from contextlib import suppress


def step_back() -> None:
    """Leave the processor to whoever else wants it, and signals to the worker.

    The session stays the worker's: of processes in sessions of their own, Linux shares the
    processor out by session first, and being nice counts for nothing there.
    """
    step_aside(19)
    if sys.platform == "linux":
        # Whoever wakes goes first at once; a nice process ends its turn of some ms before.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def step_aside(niceness: int) -> None:
    """Let others have more of the processor, by so much, and leave signals to the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(niceness)


if __name__ == "__main__":
    if sys.argv[1] == "--nice":
        step_aside(int(sys.argv[2]))
        sys.argv = sys.argv[3:]
    else:
        step_back()
        sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
