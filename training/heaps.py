"""How many heaps the threads of a training run share.

glibc gives every new thread a heap of its own, and keeps in each what was once needed there. Where
dozens of threads each hold large blocks for a moment, that doubles the memory of a run.
"""

from __future__ import annotations

import ctypes
import os

MAX_HEAPS = 2
_M_ARENA_MAX = -8
"""The number of this option in glibc's malloc.h."""


def share_heaps() -> bool:
    """Bound the heaps of this process, before threads are begun; say whether that was possible.

    To be called before anything that begins threads is loaded: heaps that are there stay. A bound
    from outside, ``MALLOC_ARENA_MAX``, is left as it is. Other C libraries have no such option.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is None or "MALLOC_ARENA_MAX" in os.environ:
        return False
    return bool(change(_M_ARENA_MAX, MAX_HEAPS))
