"""The only crossing between external ids and the dense int32 rows used inside.

A vocabulary is four arrays, so that a million ids can be memory-mapped and shared by every worker
process: the UTF-8 text of all ids, where each begins, the ids' 64-bit hashes in ascending order,
and the row of each hash. A look-up is one hash, one binary search and one comparison of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError

MISSING_ROW = -1


class Vocabulary:
    """An ordered set of distinct ids; row ``r`` is the position of an id."""

    __slots__ = ("_begins", "_data", "_hashes", "_offsets", "_rows", "_text")

    def __init__(
        self,
        data: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        hashes: NDArray[np.uint64],
        rows: NDArray[np.int32],
    ) -> None:
        self._data = data
        self._offsets = offsets
        self._hashes = hashes
        self._rows = rows
        # The same memory: one value of a view costs a third of one of an array.
        self._text = data.data
        self._begins = offsets.data

    @classmethod
    def from_ids(cls, ids: Iterable[str]) -> Vocabulary:
        """Number `ids` in the order given.

        Raises
        ------
        InputError
            If an id occurs twice.
        """
        encoded = [external_id.encode() for external_id in ids]
        if len(set(encoded)) != len(encoded):
            seen: set[bytes] = set()
            twice = next(i for i in encoded if i in seen or seen.add(i))  # type: ignore[func-returns-value]  # set.add returns None, which is falsy
            raise InputError(f"id {twice.decode()!r} occurs twice; a vocabulary holds each id once")
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(i) for i in encoded], out=offsets[1:])
        hashes = np.fromiter((_hash(i) for i in encoded), dtype=np.uint64, count=len(encoded))
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        return cls(data, offsets, hashes[order], order)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Vocabulary:
        """Open the arrays that `to_arrays` returned, without copying them."""
        return cls(arrays["data"], arrays["offsets"], arrays["hashes"], arrays["rows"])  # type: ignore[arg-type]  # dtypes are those to_arrays wrote

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name the arrays that hold this vocabulary, for storage."""
        return {
            "data": self._data,
            "offsets": self._offsets,
            "hashes": self._hashes,
            "rows": self._rows,
        }

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __iter__(self) -> Iterator[str]:
        text = self._data.tobytes()
        bounds = self._offsets.tolist()
        for begin, end in pairwise(bounds):
            yield text[begin:end].decode()

    def __contains__(self, external_id: str) -> bool:
        return self.row(external_id) != MISSING_ROW

    def id(self, row: int) -> str:
        """Return the id of one row, ``0 <= row < len(self)``."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} is outside 0..{len(self) - 1}")
        return str(self._slice(row), "utf-8")

    def ids(self, rows: Iterable[int]) -> list[str]:
        """Return the ids of several rows."""
        return [self.id(int(row)) for row in rows]

    def row(self, external_id: str) -> int:
        """Return the row of one id, or ``MISSING_ROW`` if it is unknown."""
        encoded = external_id.encode()
        wanted = np.uint64(_hash(encoded))
        position = int(self._hashes.searchsorted(wanted))
        while position < len(self._hashes) and self._hashes[position] == wanted:
            row = int(self._rows[position])
            if self._slice(row) == encoded:
                return row
            position += 1
        return MISSING_ROW

    def rows(self, external_ids: Sequence[str]) -> NDArray[np.int32]:
        """Return the rows of several ids; ``MISSING_ROW`` stands for an unknown one."""
        return np.fromiter((self.row(i) for i in external_ids), np.int32, count=len(external_ids))

    def _slice(self, row: int) -> memoryview:
        return self._text[self._begins[row] : self._begins[row + 1]]


def _hash(encoded: bytes) -> int:
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "little")
