"""Which model version is live: a small file that moves in one step, and remembers those before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from models.durable import replace_file
from models.errors import ArtifactError
from models.locks import file_lock

MAX_HISTORY = 50


class LivePointer:
    """The file ``live`` of a folder of versions: the live one in the first line, then the older."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "live"
        self._lock = folder / ".pointer.lock"

    def history(self) -> list[str]:
        """Read the versions that are or were live, the newest first; cheap enough to poll.

        Raises
        ------
        ArtifactError
            If the file cannot be read.
        """
        try:
            return self._file.read_text().split()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(
                f"cannot read which model version is live in {self._file}: {error}; "
                "remove it, then choose one with 'endcap models promote VERSION'"
            ) from error

    @contextmanager
    def changing(self) -> Iterator[list[str]]:
        """Read it while nobody else moves it.

        Raises
        ------
        ArtifactError
            If the folder cannot be written to.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(file_lock(self._lock))
            except OSError as error:
                raise ArtifactError(
                    f"cannot change which model version is live in {self._file}: {error}; "
                    "the live version is untouched; see to it that its folder can be written to"
                ) from error
            yield self.history()

    def move(self, history: list[str]) -> None:
        """Write the file anew; call it while `changing`.

        Raises
        ------
        ArtifactError
            If it cannot be written; then it stays.
        """
        lines = "\n".join(history[:MAX_HISTORY]) + "\n"
        try:
            replace_file(self._file, lines.encode())
        except OSError as error:
            raise ArtifactError(
                f"cannot move {self._file} to {history[0]}: {error}; "
                "the live version is untouched; make room and try again"
            ) from error
