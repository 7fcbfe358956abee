"""Time as the product can be held to it, on a machine that others use as well."""

import time
from pathlib import Path

PRESSURE = Path("/proc/pressure/cpu")
AT_MOST = 10
"""How many times longer something may take on a machine that has no CPU for it."""


class Stopwatch:
    """Seconds since it was started, less those in which somebody waited for a CPU.

    A bound of the product is one of a machine that has a CPU for it. Linux says how long all that
    ran had to wait for one; elsewhere every second counts.
    """

    def __init__(self) -> None:
        self._begin_s, self._stalled_s = time.monotonic(), _stalled_s()

    def seconds(self) -> float:
        """Read it; it always goes on, at least at a tenth of the clock's pace."""
        took_s = time.monotonic() - self._begin_s
        stalled_s = min(_stalled_s() - self._stalled_s, took_s)
        return took_s - stalled_s * (1 - 1 / AT_MOST)


def _stalled_s() -> float:
    """Read for how long, since the machine started, a process that could run had no CPU."""
    try:
        some = PRESSURE.read_text().splitlines()[0]
    except OSError:
        return 0.0
    return int(some.rpartition("total=")[2]) / 1e6
