"""How much memory the C library keeps of what threads have freed.

glibc gives every new thread a heap of its own, and keeps in each what was once needed there. Blocks
that are large go back to the system at once, but whenever one of them is freed it calls only larger
ones large; then what is in use lies scattered over several times as much.
"""

from __future__ import annotations

import ctypes
import os

MAX_HEAPS = 2
KEPT_FREE_BYTES = 1 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""The numbers of these options in glibc's malloc.h."""


def share_heaps(max_heaps: int = MAX_HEAPS, keep_bytes: int | None = None) -> bool:
    """Bound the heaps of this process, before threads are begun; say whether that was possible.

    With `keep_bytes`, so much may be left free at the end of the heap, and blocks of that size and
    more are not in the heap at all; else glibc finds both bounds itself.

    To be called before anything that begins threads is loaded: heaps that are there stay. Processes
    that are forked have the same bounds. One from outside, ``MALLOC_ARENA_MAX``, is left as it is.
    Other C libraries have no such options.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is None or "MALLOC_ARENA_MAX" in os.environ:
        return False
    options = {_M_ARENA_MAX: max_heaps}
    if keep_bytes is not None:
        options |= {_M_TRIM_THRESHOLD: keep_bytes, _M_MMAP_THRESHOLD: keep_bytes}
    return all(change(option, value) for option, value in options.items())


def give_back(keep_bytes: int = KEPT_FREE_BYTES) -> bool:
    """Return to the system what is free in the heap, but for so much at its end.

    Blocks that were freed between others that stay are kept for good else: what a backlog took,
    for one. Costs a millisecond for some tens of MB. Say whether there was any.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(keep_bytes))
