"""A thread that asks for short turns gets them alone, and keeps its priority."""

import ctypes
import os
import platform
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.cpu import short_turns
from service.cpu.short_turns import TURN_NS, take_short_turns

_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}


def turn_ns() -> int:
    """Read the calling thread's turn back; systems before 6.12 say 0."""
    found = ctypes.create_string_buffer(short_turns._ATTRIBUTES.size)
    number = _SCHED_GETATTR[platform.machine()]
    assert ctypes.CDLL(None).syscall(number, 0, found, len(found), 0) == 0
    return int(short_turns._ATTRIBUTES.unpack(found.raw)[5])


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in _SCHED_GETATTR, reason="Linux's"
)
def test_short_turns_are_one_threads_and_leave_its_priority() -> None:
    """The thread that asked has them, if any can; one that it starts, and the others, do not."""

    def ask() -> tuple[bool, int, int, list[int]]:
        before = os.getpriority(os.PRIO_PROCESS, 0)
        has_asked = take_short_turns()
        of_child: list[int] = []
        child = threading.Thread(target=lambda: of_child.append(turn_ns()))
        child.start()
        child.join()
        return has_asked, turn_ns(), os.getpriority(os.PRIO_PROCESS, 0) - before, of_child

    ours = turn_ns()
    with ThreadPoolExecutor(1) as thread:
        has_asked, theirs, moved, of_child = thread.submit(ask).result()
    assert moved == 0
    assert turn_ns() == ours
    assert of_child == [ours]
    if has_asked:
        assert theirs in (TURN_NS, 0)


def test_unknown_machine_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the number of the call is not known, nothing is called."""
    monkeypatch.setattr(short_turns, "_SCHED_SETATTR", {})
    assert not take_short_turns()
