"""The bounds on the heaps of a process."""

import ctypes
import os
import platform
import subprocess
import sys

import pytest

from models.heaps import give_back, share_heaps

ASK = "from models.heaps import share_heaps; print(share_heaps())"
GIVE_BACK = """
import ctypes, os
from models.heaps import give_back, share_heaps

glibc = ctypes.CDLL(None)
glibc.malloc.restype, glibc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
glibc.free.restype, glibc.free.argtypes = None, [ctypes.c_void_p]

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

assert share_heaps(1, 1 << 20)
freed = []
for _ in range(500):
    freed.append(glibc.malloc(100_000))
    ctypes.memset(freed[-1], 1, 100_000)
    glibc.malloc(1_000)
full = resident_mb()
for block in freed:
    glibc.free(block)
kept = resident_mb()
print(full - kept < 5, give_back(), kept - resident_mb() > 40)
"""
HAS_FIGURES = hasattr(ctypes.CDLL(None), "mallinfo2")
SCATTER = """
import ctypes, threading
from models.heaps import share_heaps

class Heaps(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

glibc = ctypes.CDLL(None)
glibc.malloc.restype, glibc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
glibc.free.restype, glibc.free.argtypes = None, [ctypes.c_void_p]
glibc.mallinfo2.restype = Heaps

def scatter():
    # A large block that is freed makes glibc take all that are smaller from the heap.
    glibc.free(glibc.malloc(16 << 20))
    for _ in range(8):
        freed = [glibc.malloc(2 << 20) for _ in range(4)]
        stays = glibc.malloc(1000)
        for block in freed:
            glibc.free(block)

def free_mb():
    scatter()
    thread = threading.Thread(target=scatter)
    thread.start()
    thread.join()
    return glibc.mallinfo2().fordblks >> 20

assert {possible}
print(free_mb())
"""

glibc_only = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")


def run(program: str, **variables: str) -> str:
    """Run a program in a process of its own, for bounds hold until it ends."""
    own = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env={**own, **variables}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@glibc_only
@pytest.mark.parametrize(
    ("from_outside", "expected"), [({}, "True"), ({"MALLOC_ARENA_MAX": "7"}, "False")]
)
def test_heaps_are_bounded_unless_that_was_done_from_outside(
    from_outside: dict[str, str], expected: str
) -> None:
    """Who runs a process knows better."""
    assert run(ASK, **from_outside) == expected


@glibc_only
@pytest.mark.skipif(not HAS_FIGURES, reason="figures of glibc 2.33")
def test_what_was_freed_goes_back_to_the_system() -> None:
    """Of blocks of 2 MB that are freed under one that stays, glibc without bounds keeps some."""
    assert int(run(SCATTER.replace("{possible}", "True"))) >= 8
    assert int(run(SCATTER.replace("{possible}", "share_heaps(1, 1 << 20)"))) <= 1


@glibc_only
def test_what_is_free_between_blocks_that_stay_is_given_back() -> None:
    """Of 500 blocks of 100 KB between small ones nearly all 50 MB; on its own nothing goes."""
    assert run(GIVE_BACK) == "True True True"


def test_a_c_library_without_the_option_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to be called."""
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    monkeypatch.setattr("models.heaps.ctypes.CDLL", lambda _: object())

    assert not share_heaps()
    assert not give_back()
