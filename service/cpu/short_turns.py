"""Lets the thread that answers pages go first when it wakes, without a higher priority.

A page that arrives while another thread of any process has the core waits for the end of that
thread's turn: some 3 ms, ten times what the page takes. Linux (6.12 and newer) lets a thread ask
for shorter turns of its own, and then it need not wait for a longer one to end; its share of the
processor stays the same. docs/adr/0010-hot-path.md says what it brings.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

TURN_NS = 300_000
"""About one page; the system's own turns are ten times as long."""

# The C library has no wrapper, and the number differs by machine.
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_THIS_THREAD = 0
_NORMAL, _NOT_INHERITED = 0, 1
# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period.
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")


def take_short_turns() -> bool:
    """Ask it for the calling thread, not for those that it starts; tell whether that was possible.

    Where it is not, or the system has turns of one length only, pages wait as before.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    niceness = os.getpriority(os.PRIO_PROCESS, _THIS_THREAD)
    wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, _NORMAL, _NOT_INHERITED, niceness, 0, TURN_NS, 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, _THIS_THREAD, wanted, 0) == 0)
