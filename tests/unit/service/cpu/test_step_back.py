"""A program steps back before it is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 60.0
PROGRAM = """
import os, signal, sys
print(os.nice(0), signal.getsignal(signal.SIGINT) is signal.SIG_IGN, __name__, *sys.argv[1:])
print(os.sched_getscheduler(0) if sys.platform == "linux" else 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's")
def test_program_has_what_is_left_over_from_its_first_line(tmp_path: Path) -> None:
    """It is run as a program, with its own arguments, and leaves signals to others."""
    (tmp_path / "some_program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "service.cpu.step_back", "some_program", "one", "two"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    assert done.stdout.splitlines() == ["19 True __main__ one two", str(os.SCHED_IDLE)]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_program_whose_work_is_wanted_soon_is_only_nicer(tmp_path: Path) -> None:
    """It keeps its turns, and has fewer of them where others want the core."""
    (tmp_path / "some_program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "service.cpu.step_back", "--nice", "7", "some_program", "one"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    expected = min(os.nice(0) + 7, 19)
    assert done.stdout.splitlines() == [f"{expected} True __main__ one", "0"]
