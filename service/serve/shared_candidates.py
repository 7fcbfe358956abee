"""Candidates that one worker worked out, for the other workers of its machine.

Whoever acts is seen by several workers before they act again, and each would score them anew; but
scores follow from the model version and the history alone. So they are kept in memory that the
forked processes share, under a hash of both. No lock is taken: a record carries a digest of itself,
and one that was written half, or by two at once, is not found. It names nobody, is never on disk,
and makes way for newer ones.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from hashlib import blake2b
from secrets import token_bytes
from struct import Struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest
from models.ready_candidates import ready_name
from models.scoring import History, ScoredItems

N_SETS = 4096
N_WAYS = 4
"""A record stands in one of so many places of the set that its key names."""
SLOT_BYTES = 1536
"""Enough for 100 items of a trained history and 87 newer ones; longer ones are not shared."""

_KEY_BYTES = 16
_SET_BYTES = N_WAYS * _KEY_BYTES
_EACH_SET_BYTES = _SET_BYTES + 1 + N_WAYS * SLOT_BYTES
"""First the keys of all sets, then how often each was written to, then their records."""
N_BYTES = N_SETS * _EACH_SET_BYTES

SALT_BYTES = 16

_LENGTHS = Struct("<HH")
"""Of candidates and of shares; behind the digest, and part of what it is of."""
_CONTENT = _KEY_BYTES + _LENGTHS.size


Ask = Callable[[str, str, History], None]
"""Asks for candidates of a version, which is named once more after all that they follow from."""


class Worked(NamedTuple):
    """What was worked out of a history."""

    shares: NDArray[np.float32]
    best: ScoredItems
    """The first `models.candidates.HEAD` candidates."""


class SharedCandidates:
    """The table, as one process sees it; all threads may use it."""

    def __init__(
        self,
        memory: mmap.mmap,
        count_found: Callable[[], None] = lambda: None,
        count_kept: Callable[[], None] = lambda: None,
        *,
        salt: bytes = b"",
        ask: Ask | None = None,
        has_others: bool = True,
    ) -> None:
        """Take memory that is all zeros at first, and who counts what comes of it.

        `salt` is what all who have that memory know and nobody else, so that no other can make
        their keys. `ask` asks the scorer, if there is one. Without others nothing is left to them.
        """
        self._memory = memory
        self.salt = salt
        self.ask = ask
        self.has_others = has_others
        self._n_sets = len(memory) // _EACH_SET_BYTES
        self._turns = self._n_sets * _SET_BYTES
        self._slots = self._turns + self._n_sets
        self._count_found = count_found
        self._count_kept = count_kept

    def of(self, manifest: Manifest) -> CandidatesOfVersion:
        """Return the part of a model version; whoever is erased from it makes it another one."""
        return CandidatesOfVersion(self, manifest)

    def get(self, key: bytes) -> Worked | None:
        """Return what is kept under a key of 16 bytes."""
        place = self._find(key)
        if place is None:
            return None
        begin = self._slots + place * SLOT_BYTES
        n_best, n_shares = _LENGTHS.unpack_from(self._memory, begin + _KEY_BYTES)
        size = _LENGTHS.size + 12 * n_best + 4 * n_shares
        if _KEY_BYTES + size > SLOT_BYTES:
            return None  # others are writing there
        record = self._memory[begin : begin + _KEY_BYTES + size]
        if _digest(key, record[_KEY_BYTES:]) != record[:_KEY_BYTES]:
            return None
        self._count_found()
        rows_end = _CONTENT + 4 * n_best
        scores_end = rows_end + 4 * n_best
        return Worked(
            np.frombuffer(record, np.float32, n_shares, scores_end + 4 * n_best),
            ScoredItems(
                np.frombuffer(record, np.int32, n_best, _CONTENT),
                np.frombuffer(record, np.float32, n_best, rows_end),
                np.frombuffer(record, np.int32, n_best, scores_end),
            ),
        )

    def keep(self, key: bytes, worked: Worked) -> None:
        """Keep what was worked out where the set's oldest record is, if it has room there."""
        best = worked.best
        content = _LENGTHS.pack(len(best.rows), len(worked.shares)) + b"".join(
            [one.tobytes() for one in (best.rows, best.scores, best.because, worked.shares)]
        )
        if _KEY_BYTES + len(content) > SLOT_BYTES:
            return
        place = self._find(key)
        if place is None:
            number = self._set_of(key)
            turn = self._memory[self._turns + number]
            self._memory[self._turns + number] = (turn + 1) % 256
            place = number * N_WAYS + turn % N_WAYS
        begin = self._slots + place * SLOT_BYTES
        self._memory[begin : begin + _KEY_BYTES + len(content)] = _digest(key, content) + content
        self._memory[place * _KEY_BYTES : (place + 1) * _KEY_BYTES] = key
        self._count_kept()

    def clear(self) -> None:
        """Let go of everything; other workers may be writing meanwhile."""
        self._memory.madvise(mmap.MADV_REMOVE)  # takes no time, where zeros would take 10 ms

    def _find(self, key: bytes) -> int | None:
        """Return where a key stands, among all places."""
        begin = self._set_of(key) * _SET_BYTES
        found = self._memory[begin : begin + _SET_BYTES].find(key)
        # It may look as if it began in the middle of another one.
        return None if found < 0 or found % _KEY_BYTES else (begin + found) // _KEY_BYTES

    def _set_of(self, key: bytes) -> int:
        return int.from_bytes(key[:4], "little") % self._n_sets


class CandidatesOfVersion:
    """What the workers have worked out with one version of the model."""

    __slots__ = ("_name", "_shared", "_version", "_version_key")

    def __init__(self, shared: SharedCandidates, manifest: Manifest) -> None:
        self._shared = shared
        self._version = manifest.version
        self._name = ready_name(manifest)
        self._version_key = self._name.encode()

    def expect(self, history: History) -> None:
        """Let the scorer work a history out, if there is one and it has time."""
        if self._shared.ask is not None and len(history.rows):
            self._shared.ask(self._version, self._name, history)

    def get(self, history: History) -> Worked | None:
        """Return what any worker worked out of a history, if it is still there."""
        return self._shared.get(self._key(history)) if len(history.rows) else None

    def keep(self, history: History, shares: NDArray[np.float32], best: ScoredItems) -> None:
        """Leave to the other workers what was worked out of a history."""
        if len(history.rows) and self._shared.has_others:
            self._shared.keep(self._key(history), Worked(shares, best))

    def _key(self, history: History) -> bytes:
        # Each item has bytes of one number, so no two histories are one text.
        text = history.rows.tobytes() + history.kinds.tobytes() + history.at_ms.tobytes()
        return blake2b(
            text, digest_size=_KEY_BYTES, key=self._version_key, salt=self._shared.salt
        ).digest()


def new_salt() -> bytes:
    """Draw what the processes of a server key their records with."""
    return token_bytes(SALT_BYTES)


def _digest(key: bytes, content: bytes) -> bytes:
    return blake2b(content, digest_size=_KEY_BYTES, key=key).digest()
