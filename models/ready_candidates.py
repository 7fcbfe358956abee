"""Every user's best candidates in one file, worked out once per model version and mapped by all.

The file holds one record per user and behind them the shares of all histories. It is filled while
others read it: a record counts from the moment that its last field is not 0.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.candidates import N_READY, NO_CANDIDATES, Taste, taste_of
from models.manifest import Manifest
from models.scoring import ScoredItems
from models.snapshot import Snapshot

FORMAT = 2
"""Raise it with any change of the record or of what scoring gives, but for the last bits."""
BLOCK = 64
"""Users between two questions whether to go on."""

_RECORD = np.dtype(
    [
        ("rows", np.int32, N_READY),
        ("scores", np.float32, N_READY),
        ("because", np.int8, N_READY),
        ("n_and_one", np.uint8),
    ],
    align=True,
)
"""`because` is a place among the newest items of the history, -1 where the graph was silent."""
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
"""What a file system says that can only make holes."""
_MOST_SPEAKERS = np.iinfo(np.int8).max


def ready_name(manifest: Manifest) -> str:
    """Name the file after all that it follows from; who is erased from a version changes it."""
    follows_from = (FORMAT, N_READY, manifest.checksums, manifest.blend)
    encoded = msgspec.json.encode(follows_from, order="deterministic")
    return f"candidates-{blake2b(encoded, digest_size=8).hexdigest()}"


def can_be_ready(snapshot: Snapshot) -> bool:
    """Say whether histories are short enough for the records."""
    return snapshot.manifest.blend.max_recent <= _MOST_SPEAKERS


class ReadyCandidates:
    """The file of a snapshot, mapped for reading."""

    __slots__ = ("_because", "_n_and_one", "_rows", "_scores", "_shares", "_snapshot")

    def __init__(self, snapshot: Snapshot, path: Path) -> None:
        """Map a file that `make_room` made.

        Raises
        ------
        OSError
            If there is none.
        ValueError
            If it is shorter than it should be.
        """
        n_users, n_values = len(snapshot.users.ids), len(snapshot.users.history.rows)
        # A view as plain ndarray: indexing a memmap object costs a Python call each time.
        mapped = np.memmap(path, np.uint8, "r", shape=(_size(snapshot),)).view(np.ndarray)
        end = n_users * _RECORD.itemsize
        records = mapped[:end].view(_RECORD)
        self._rows: NDArray[np.int32] = records["rows"]
        self._scores: NDArray[np.float32] = records["scores"]
        self._because: NDArray[np.int8] = records["because"]
        self._n_and_one: NDArray[np.uint8] = records["n_and_one"]
        self._shares: NDArray[np.float32] = mapped[end : end + 4 * n_values].view(np.float32)
        self._snapshot = snapshot

    def get(self, user_row: int) -> Taste | None:
        """Return what `taste_of` gives for a user, or nothing if it is not worked out yet."""
        if not self.has((user_row,)):
            return None
        return Taste(self.shares(user_row), self.best(user_row))

    def shares(self, user_row: int) -> NDArray[np.float32]:
        """Return the shares of a user's history; the user is worked out."""
        offsets = self._snapshot.users.history.offsets
        shares = self._shares[offsets[user_row] : offsets[user_row + 1]]
        # Of items that weigh nothing there are no shares, which is rare where somebody has none.
        return shares if self._n_and_one[user_row] > 1 or shares.any() else shares[:0]

    def best(self, user_row: int) -> ScoredItems:
        """Return the best candidates of a user, who is worked out."""
        n = int(self._n_and_one[user_row]) - 1
        if not n:
            return NO_CANDIDATES
        history = self._snapshot.users.history
        begin, end = int(history.offsets[user_row]), int(history.offsets[user_row + 1])
        max_recent = self._snapshot.manifest.blend.max_recent
        places = self._because[user_row, :n]
        because = history.rows[max(begin, end - max_recent) : end].take(places, mode="wrap")
        because[places < 0] = -1
        return ScoredItems(self._rows[user_row, :n], self._scores[user_row, :n], because)

    def has(self, user_rows: Iterable[int]) -> bool:
        """Say whether all of these users are worked out."""
        return all(self._n_and_one[row] for row in user_rows)


def make_room(snapshot: Snapshot, path: Path) -> None:
    """Make the file, in which nobody is worked out yet, unless it is there.

    Raises
    ------
    OSError
        If there is no room for all of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Whoever reads a hole takes room for it in a file system that is in memory, and where that
        # is full the kernel ends the process (SIGBUS).
        if sys.platform == "linux":
            try:
                os.posix_fallocate(descriptor, 0, _size(snapshot))
            except OSError as error:
                if error.errno not in _CANNOT_RESERVE:
                    path.unlink(missing_ok=True)  # what there was room for is wanted by others
                    raise
        os.ftruncate(descriptor, _size(snapshot))
    finally:
        os.close(descriptor)


def fill(
    snapshot: Snapshot,
    path: Path,
    users: Sequence[int],
    goes_on: Callable[[], bool] = lambda: True,
) -> bool:
    """Work users out who are not yet, and say whether all are; it ends when `goes_on` is false.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    ready = ReadyCandidates(snapshot, path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        for begin in range(0, len(users), BLOCK):
            if not goes_on():
                return False
            for row in users[begin : begin + BLOCK]:
                if not ready.has((row,)):
                    _write(descriptor, snapshot, row)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _write(descriptor: int, snapshot: Snapshot, user_row: int) -> None:
    users = snapshot.users
    begin, end = int(users.history.offsets[user_row]), int(users.history.offsets[user_row + 1])
    taste = taste_of(snapshot, user_row)
    shares = np.zeros(end - begin, dtype=np.float32)
    shares[: len(taste.shares)] = taste.shares
    record = np.zeros(1, dtype=_RECORD)
    n = len(taste.best.rows)
    record["rows"][0, :n] = taste.best.rows
    record["scores"][0, :n] = taste.best.scores
    speakers = users.history.rows[begin:end][-snapshot.manifest.blend.max_recent :]
    record["because"][0, :n] = _places(taste.best.because, speakers)
    _write_all(
        descriptor, shares.tobytes(), len(users.ids) * _RECORD.itemsize + begin * shares.itemsize
    )
    _write_all(descriptor, record.tobytes(), user_row * _RECORD.itemsize)
    # In a call of its own, so nobody sees the last field before the others.
    last = user_row * _RECORD.itemsize + _RECORD.fields["n_and_one"][1]  # type: ignore[index]  # it has fields
    _write_all(descriptor, bytes([n + 1]), last)


def _places(because: NDArray[np.int32], speakers: NDArray[np.int32]) -> NDArray[np.int8]:
    """Turn rows of items into places in the history, which holds each item once."""
    order = np.argsort(speakers, kind="stable")
    found = order[np.minimum(np.searchsorted(speakers, because, sorter=order), len(order) - 1)]
    places: NDArray[np.int8] = np.where(because >= 0, found, -1).astype(np.int8)
    return places


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    if os.pwrite(descriptor, content, offset) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _size(snapshot: Snapshot) -> int:
    users = snapshot.users
    # A file of no bytes cannot be mapped.
    return len(users.ids) * _RECORD.itemsize + 4 * len(users.history.rows) + 1
