"""Lists of different lengths in flat arrays, which can be stored and memory-mapped as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_HALF = np.uint64(32)
_ALL_BITS = np.uint64(0xFFFF_FFFF)
_NO_WEIGHT = _ALL_BITS << _HALF
_SORTED_AT_ONCE = 65_536
"""Values: they stay in the cache of the processor."""


def offsets_of(lengths: Iterable[int]) -> NDArray[np.int64]:
    """Turn list lengths into offsets: list ``r`` is ``values[offsets[r]:offsets[r + 1]]``."""
    counts = np.fromiter(lengths, dtype=np.int64)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def in_groups(
    rows: NDArray[np.int64], lengths: NDArray[np.integer], n_values: int
) -> Iterator[NDArray[np.int64]]:
    """Cut rows of ascending `lengths` so that a group times its longest has at most `n_values`.

    A single row may have more.
    """
    begin = 0
    while begin < len(rows):
        end = min(begin + max(n_values // max(int(lengths[begin]), 1), 1), len(rows))
        end = min(begin + max(n_values // max(int(lengths[end - 1]), 1), 1), end)
        yield rows[begin:end]
        begin = end


def _equal_lists(
    bounds: NDArray[np.integer], lengths: NDArray[np.integer]
) -> Iterator[NDArray[np.int64]]:
    """Take the lists of one length together: where each one's values are, shape (n, length).

    A call for every list would hold the interpreter up, and the threads that wait for it.
    """
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    cuts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    for rows in np.split(order, cuts):
        length = int(lengths[rows[0]]) if len(rows) else 0
        if length:
            for some in in_groups(rows, lengths[rows], _SORTED_AT_ONCE):
                yield bounds[some].astype(np.int64)[:, np.newaxis] + np.arange(length)


@dataclass(frozen=True, slots=True)
class RowLists:
    """One list of item rows per row: ``offsets`` int64 (n + 1,), ``rows`` int32 (n_values,)."""

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Self:
        """Flatten Python lists."""
        flat = [row for rows in lists for row in rows]
        return cls(offsets_of(len(rows) for rows in lists), np.asarray(flat, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        return self.rows[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Weighted lists of item rows, each list by falling weight.

    ``offsets`` int64 (n + 1,), ``rows`` int32 (n_values,), ``weights`` float32 (n_values,).
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def from_csr(cls, matrix: csr_matrix, k: int) -> Self:
        """Keep the `k` largest positive entries of every row of a matrix, shape (n, n_items).

        Equal weights are ordered by column, so the result does not depend on the input's order.
        """
        from scipy.sparse import csr_matrix  # noqa: PLC0415  # 18 MB, which serving does not need

        matrix = csr_matrix(matrix, dtype=np.float32)
        bounds = matrix.indptr
        positive = np.maximum(matrix.data, np.float32(0.0)) + np.float32(0.0)  # no -0.0
        # Of positive floats the bits sort as the numbers do: sorting whole numbers orders by
        # falling weight, then by column.
        keys = _ALL_BITS - positive.view(np.uint32).astype(np.uint64) << _HALF
        keys |= matrix.indices.astype(np.uint64)
        lengths = np.diff(bounds)
        for places in _equal_lists(bounds, lengths):
            lists = keys[places]
            lists.sort(axis=1)
            lists[:, k:] = _NO_WEIGHT
            keys[places] = lists
        weights = (_ALL_BITS - (keys >> _HALF)).astype(np.uint32).view(np.float32)
        kept = (weights > 0).nonzero()[0]
        rows = (keys[kept] & _ALL_BITS).astype(np.int32)
        return cls(np.searchsorted(kept, bounds).astype(np.int64), rows, weights[kept])

    def to_csr(self, n_items: int) -> csr_matrix:
        """Return the same lists as a float32 matrix, shape (n, `n_items`)."""
        from scipy.sparse import csr_matrix  # noqa: PLC0415  # as above

        shape = (len(self), n_items)
        return csr_matrix((self.weights, self.rows, self.offsets), shape=shape)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        begin, end = self.offsets[row], self.offsets[row + 1]
        return self.rows[begin:end], self.weights[begin:end]


@dataclass(frozen=True, slots=True)
class Texts:
    """One UTF-8 text per row: ``offsets`` int64 (n + 1,), ``data`` uint8 (n_bytes,)."""

    offsets: NDArray[np.int64]
    data: NDArray[np.uint8]

    @classmethod
    def of(cls, texts: Iterable[bytes]) -> Self:
        """Join encoded texts."""
        parts = list(texts)
        return cls(offsets_of(map(len, parts)), np.frombuffer(b"".join(parts), dtype=np.uint8))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> bytes:
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()
