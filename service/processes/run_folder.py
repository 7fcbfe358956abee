"""The folder of one run of a server: the log process's socket, and what its workers count.

It is named after the server's process. In each of two containers that may be the same number, and
neither sees the processes of the other: so a run holds a lock for as long as one of its processes
lives, and nobody else takes or clears its folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from models.errors import ConfigError
from service.stores.file_lease import FileLease

_HELD = "held.lock"
_TURN = "start.lock"


@contextmanager
def run_folder(home: Path) -> Iterator[Path]:
    """Make `home/run/<pid>`, and clear what dead runs have left; it is gone when the block ends.

    Raises
    ------
    ConfigError
        If the home cannot be written.
    """
    runs = home / "run"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with (runs / _TURN).open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            _clear(runs)
            folder = _make(runs)
            lease = FileLease(folder / _HELD)
            lease.take()
    except OSError as error:
        raise ConfigError(f"cannot write to --home {home}: {error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lease.give_back()


def _clear(runs: Path) -> None:
    for left in runs.iterdir():
        pid = left.name.partition(".")[0]
        if pid.isdigit() and not _is_held(left, int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _is_held(folder: Path, pid: int) -> bool:
    held = folder / _HELD
    if not held.exists():  # of an older version, which says no more than its process
        return pid != os.getpid() and _is_alive(pid)
    lease = FileLease(held)
    is_free = lease.take()
    lease.give_back()
    return not is_free


def _make(runs: Path) -> Path:
    for n in count(1):
        folder = runs / (str(os.getpid()) if n == 1 else f"{os.getpid()}.{n}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
