"""The bound on the heaps of a training run."""

import os
import platform
import subprocess
import sys

import pytest

from training.heaps import share_heaps

ASK = "from training.heaps import share_heaps; print(share_heaps())"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
@pytest.mark.parametrize(
    ("from_outside", "expected"), [({}, "True"), ({"MALLOC_ARENA_MAX": "7"}, "False")]
)
def test_heaps_are_bounded_unless_that_was_done_from_outside(
    from_outside: dict[str, str], expected: str
) -> None:
    # In a process of its own: the bound holds until the process ends.
    own = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**own, **from_outside},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == expected


def test_a_c_library_without_the_option_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    monkeypatch.setattr("training.heaps.ctypes.CDLL", lambda _: object())

    assert not share_heaps()
