"""A lease on work that one process of a home does for all: it ends with the process that has it.

The system keeps it, not a clock: nobody waits for a dead holder's time to run out, and a clock that
steps back gives it to nobody twice.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO


class FileLease:
    """One process's claim; it may hold it through one instance at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Hold the lease from now on, unless another process does.

        Raises
        ------
        OSError
            If the file cannot be made.
        """
        if self._file is not None:
            return True
        file = self._path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        except BaseException:
            file.close()
            raise
        self._file = file
        return True

    def give_back(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            self._file.close()
            self._file = None
