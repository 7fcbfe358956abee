"""A process that is started without `subprocess` has what it was given, and nothing else."""

import os
import sys
from pathlib import Path

import pytest

from service.processes.quiet_start import QuietProcess

LIMIT_S = 60.0
REPORT = """
import os, sys
given = sys.stdin.buffer.read()
left = [n for n in map(int, os.listdir("/dev/fd")) if n > 3]
opened = [n for n in left if os.path.exists(f"/dev/fd/{n}")]
print("to nobody")
has_path = "PATH" in os.environ
os.write(3, repr((len(given), given[:4], os.environ["NAME"], has_path, opened)).encode())
sys.exit(3)
"""


def test_process_has_what_it_was_given() -> None:
    """Its input, more than a pipe holds, its variables and one descriptor; its code comes back."""
    ours, theirs = os.pipe()
    other = os.open(os.devnull, os.O_RDONLY)
    given = b"abcd" * 100_000
    os.set_inheritable(other, True)  # as the socket that workers listen at
    variables = {"NAME": "wörd", "LC_ALL": "C.UTF-8"}
    process = QuietProcess([sys.executable, "-c", REPORT], variables, given, theirs)
    os.close(theirs)
    os.close(other)
    with os.fdopen(ours, "rb") as file:
        said = file.read().decode()
    assert process.wait(LIMIT_S) == process.returncode == 3
    assert said == "(400000, b'abcd', 'wörd', False, [])"


def test_process_that_ends_first_is_waited_for() -> None:
    """One that does not read what it is given leaves no error and no zombie behind."""
    process = QuietProcess([sys.executable, "-c", ""], dict(os.environ), b"x" * 1_000_000)
    assert process.wait(LIMIT_S) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    process.terminate()


def test_process_is_asked_to_end() -> None:
    """And until then it has no code, however often it is asked."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = QuietProcess(command, dict(os.environ), b"")
    assert process.wait(0.05) is None
    process.terminate()
    assert process.wait(LIMIT_S) == -15


def test_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Of the system's, as of every other way to start one."""
    before = sorted(Path("/dev/fd").iterdir())
    with pytest.raises(FileNotFoundError):
        QuietProcess([str(tmp_path / "missing")], {}, b"")
    assert sorted(Path("/dev/fd").iterdir()) == before
