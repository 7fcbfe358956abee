"""Tells at once that a pseudonym has no row in ``events.sqlite``, for all processes of a home.

A Bloom filter in a file beside the store that every process maps. It sets a key's bits before it
commits the key's first row, and only while it holds the store's write lock: so a key whose bits are
missing has no row that anybody could read, and no two processes write a byte at once. A key whose
bits are there may have rows, or be one in a hundred that looks as if. The file is worth nothing
once nobody has it open: the next process begins with an empty one, which
`service.stores.key_filter_filling` fills from the rows.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.stores.sqlite import reported

FILTER_FILE = "events.filter"

RowKind = Literal["recent", "identity", "dealt"]
"""Rows of events with an item; of identities or links; of exposures by chance without a user."""
ROW_KINDS: tuple[RowKind, ...] = ("recent", "identity", "dealt")

N_PROBES = 7
BITS_PER_KEY = 10
"""With seven probes one key in 120 looks as if it had a row."""
FIRST_BITS = 1 << 23
"""Bits of the first part, a power of two; each further one has twice as many."""

_HEADER_BYTES = 1 << 16
"""Where the first part begins; a multiple of what systems can map."""
_STATE = slice(0, 8)
_FILLED, _N_PARTS, _AGE = slice(0, 1), slice(1, 2), slice(2, 8)
_N_KEYS = slice(8, 16)
_N_DIGITS = 32
_DIGITS: dict[RowKind, slice] = {
    kind: slice(8 * number, 8 * number + 16) for number, kind in enumerate(ROW_KINDS)
}
"""Of a pseudonym; each kind has bits of its own."""
_LOW, _ALL = (1 << 32) - 1, (1 << 64) - 1


class KeyFilter:
    """One process's view of the file; other threads and processes may use theirs meanwhile.

    `note`, `merge` and `clear` are for who holds the store's write lock.
    """

    def __init__(self, events: Path) -> None:
        """Open the filter beside an event store, and make or empty it if nobody else uses it.

        Raises
        ------
        StoreError
            If the file cannot be made.
        """
        self._parts: list[tuple[mmap.mmap, int]] = []
        self._mapping = Lock()
        with reported(events.with_name(FILTER_FILE)):
            self._descriptor = _open(events.with_name(FILTER_FILE))
            self._header = mmap.mmap(self._descriptor, _HEADER_BYTES)
            self._map_parts(1)

    @property
    def is_filled(self) -> bool:
        """Whether keys of all rows are in it, so that `lacks` can ever say yes."""
        return self._header[_FILLED] == b"\1"

    @property
    def age(self) -> int:
        """How often it was emptied."""
        return int.from_bytes(self._header[_AGE])

    def lacks(self, kind: RowKind, key: str) -> bool:
        """Tell whether a pseudonym surely has no row of this kind; costs a microsecond."""
        state = self._header[_STATE]
        if not state[0]:
            return False
        if state[1] > len(self._parts):
            self._map_parts(state[1])
        # Bits that are missing because the filter is emptied meanwhile say nothing.
        return not _is_in(self._parts, _number(kind, key)) and self._header[_STATE] == state

    def note(self, kind: RowKind, keys: Iterable[str]) -> None:
        """Enter the pseudonyms of rows that are about to be committed."""
        for key in keys:
            part, mask = self._last_part()
            number = _number(kind, key)
            if _is_in(self._parts, number):
                continue
            for turn in range(N_PROBES):
                bit = ((number >> 32) + turn * (number & _LOW)) & mask
                part[bit >> 3] |= 1 << (bit & 7)
            self._count(1)

    def merge(self, parts: list[NDArray[np.uint8]], n_in_last: int) -> None:
        """Add the bits of a filter of the same layout, and call this one filled."""
        while self._header[_N_PARTS][0] < len(parts):
            self._grow()
        for (mapped, _), bits in zip(self._parts, parts, strict=False):
            view = np.frombuffer(mapped, dtype=np.uint8)
            view |= bits
            del view  # or the map could not be closed
        self._count(n_in_last)
        self._header[_FILLED] = b"\1"

    def clear(self) -> None:
        """Empty it, for rows were deleted whose keys shall leave no trace; it wants filling."""
        age = self.age + 1
        self._last_part()
        self._header[_STATE] = b"\0\1" + age.to_bytes(6)
        self._header[_N_KEYS] = bytes(8)
        for part, _ in self._parts:
            part[:] = bytes(len(part))

    def close(self) -> None:
        """Let go of the file."""
        for part, _ in self._parts:
            part.close()
        self._parts = []
        self._header.close()
        os.close(self._descriptor)

    def _count(self, n_added: int) -> None:
        n_keys = int.from_bytes(self._header[_N_KEYS]) + n_added
        self._header[_N_KEYS] = n_keys.to_bytes(8)
        if n_keys * BITS_PER_KEY > self._last_part()[1]:
            self._grow()

    def _grow(self) -> None:
        n_parts = self._header[_N_PARTS][0] + 1
        self._map_parts(n_parts)
        self._header[_N_KEYS] = bytes(8)
        self._header[_N_PARTS] = bytes([n_parts])

    def _last_part(self) -> tuple[mmap.mmap, int]:
        """Return the part that takes new keys, and the mask of its bits."""
        n_parts = self._header[_N_PARTS][0]
        if n_parts > len(self._parts):
            self._map_parts(n_parts)
        return self._parts[n_parts - 1]

    def _map_parts(self, n_parts: int) -> None:
        """Map what other processes have added, or add it."""
        with self._mapping:
            while len(self._parts) < n_parts:
                begin, n_bytes = _span(len(self._parts))
                if os.fstat(self._descriptor).st_size < begin + n_bytes:
                    _lengthen(self._descriptor, n_bytes)
                part = mmap.mmap(self._descriptor, n_bytes, offset=begin)
                self._parts.append((part, 8 * n_bytes - 1))


def part_bytes(number: int) -> int:
    """Say how long a part is; the first one has number 0."""
    return FIRST_BITS << number >> 3


def _span(number: int) -> tuple[int, int]:
    """Say where a part begins in the file, and how long it is."""
    return _HEADER_BYTES + sum(map(part_bytes, range(number))), part_bytes(number)


def probes(kind: RowKind, keys: list[str]) -> NDArray[np.int64]:
    """Return first probe and step of each key, shape (2, n_keys)."""
    numbers = np.fromiter((_number(kind, key) & _ALL for key in keys), np.uint64, len(keys))
    return np.stack([numbers >> np.uint64(32), numbers & np.uint64(_LOW)]).astype(np.int64)


def _number(kind: RowKind, key: str) -> int:
    """Make 64 bits of a pseudonym, which is hexadecimal digits of a hash, or of any other key.

    The upper half says where to look first, the lower one how far to go on.
    """
    if len(key) == _N_DIGITS:
        try:
            return int(key[_DIGITS[kind]], 16)
        except ValueError:
            pass
    digest = blake2b(key.encode(), digest_size=8, person=kind.encode()).digest()
    return int.from_bytes(digest)


def _is_in(parts: list[tuple[mmap.mmap, int]], number: int) -> bool:
    """Look for the bits of a key; nearly always the first one or two say no."""
    bit = number >> 32
    for part, mask in parts:
        if not part[(bit & mask) >> 3] >> (bit & 7) & 1:
            continue
        step = number & _LOW
        for turn in range(1, N_PROBES):
            probe = bit + turn * step
            if not part[(probe & mask) >> 3] >> (probe & 7) & 1:
                break
        else:
            return True
    return False


def _open(path: Path) -> int:
    """Open the file, and empty it if it was left by processes that ended."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        _lengthen(descriptor, sum(_span(0)))
        os.pwrite(descriptor, b"\0\1", 0)
    except BlockingIOError:
        pass  # somebody uses it, or is just making it: the next line waits for that
    except BaseException:
        os.close(descriptor)
        raise
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _lengthen(descriptor: int, n_bytes: int) -> None:
    """Append zeros: a map of what the disk has no room for would end the process."""
    end = os.fstat(descriptor).st_size
    if os.pwrite(descriptor, bytes(n_bytes), end) < n_bytes:
        os.ftruncate(descriptor, end)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
