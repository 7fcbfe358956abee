"""The processes that a process has started; of Linux."""

from contextlib import suppress
from pathlib import Path


def children(pid: int) -> dict[int, str]:
    """Return the children of a process, each with its command, without those that end meanwhile."""
    found: dict[int, str] = {}
    # Each thread has children of its own there.
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            for child in map(int, thread.read_text().split()):
                with suppress(FileNotFoundError, ProcessLookupError):  # the process has
                    found[child] = command_of(child)
    return found


def command_of(pid: int) -> str:
    """Return the command line of a process, empty of one that nobody has waited for yet."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
