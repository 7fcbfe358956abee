"""Who was erased while trainings of a home run: what these publish has to leave them out.

A training has read its rows long before it writes a version, so an erasure cannot find them there.
It notes the person in a file that every running training holds open, before it looks at the
versions; the training reads the notes once nobody else can write versions. So each person is in
one or the other. The notes are hashes: a search for the person finds nothing in them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from models.errors import ArtifactError

Erased = Callable[[Iterable[str]], Collection[str]]
"""Says which of these pseudonyms were erased since the training began."""

_FILE = ".training.lock"
_NOTE_BYTES = 32


@contextmanager
def running_training(home: Path) -> Iterator[Erased]:
    """Have who is erased meanwhile noted, until the block ends; begin it before reading data.

    Raises
    ------
    OSError
        If the home cannot be written to.
    """
    with _opened(home / "models" / _FILE) as notes:
        fcntl.flock(notes, fcntl.LOCK_SH)
        begin = os.fstat(notes).st_size

        def erased(keys: Iterable[str]) -> set[str]:
            size = os.fstat(notes).st_size - begin
            found = os.pread(notes, size, begin)
            known = {found[at : at + _NOTE_BYTES] for at in range(0, size, _NOTE_BYTES)}
            return {key for key in keys if _note(key) in known} if known else set()

        try:
            yield erased
        finally:
            _empty(notes)


def note_erased(home: Path, keys: Iterable[str]) -> None:
    """Tell the trainings that run whom to leave out; call it before looking at the versions.

    Raises
    ------
    ArtifactError
        If it cannot be written.
    """
    path = home / "models" / _FILE
    if not path.exists():
        return
    try:
        with _opened(path) as notes:
            if not _empty(notes):
                os.write(notes, b"".join(map(_note, keys)))
    except OSError as error:
        raise ArtifactError(
            f"cannot tell the training that runs whom to leave out: {error}; see to it that {path} "
            "can be written to, then erase again"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _empty(notes: int) -> bool:
    """Take away all notes if no training runs, and say whether that is so."""
    try:
        fcntl.flock(notes, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    os.ftruncate(notes, 0)
    return True


def _note(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=_NOTE_BYTES).digest()
