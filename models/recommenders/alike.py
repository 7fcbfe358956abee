"""Items that are described alike: what follows from a description is worked out once for all.

Ninety thousand articles of a grocer have some four thousand descriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from models.ragged import offsets_of
from models.recommenders.blocks import map_blocks
from models.recommenders.top_k import largest_of_rows, top_k_rows

KINDS_PER_BLOCK = 256
ITEMS_PER_BLOCK = 4_096


@dataclass(frozen=True, slots=True)
class Alike:
    """Which items have the same description."""

    kinds: NDArray[np.int64]
    """(n_items,) number of each item's description, counted as they first come."""
    firsts: NDArray[np.int64]
    """(n_kinds,) the first item of each description, ascending."""

    @classmethod
    def of(cls, descriptions: Iterable[Hashable]) -> Self:
        """Number the descriptions of items."""
        numbers: dict[Hashable, int] = {}
        kinds = np.fromiter(
            (numbers.setdefault(one, len(numbers)) for one in descriptions), dtype=np.int64
        )
        highest = np.maximum.accumulate(kinds)
        return cls(kinds, np.flatnonzero(np.diff(highest, prepend=-1)))


def dense_rows(matrix: NDArray[np.generic]) -> Iterator[bytes]:
    """Give of each row a hash, which is that of equal rows alone."""
    return (_hash(row.tobytes()) for row in matrix)


def sparse_rows(matrix: csr_matrix) -> Iterator[bytes]:
    """Give of each row a hash, which is that of rows with the same entries in the same order."""
    bounds = matrix.indptr.tolist()
    for begin, end in pairwise(bounds):
        yield _hash(matrix.indices[begin:end].tobytes() + matrix.data[begin:end].tobytes())


def _hash(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def most_alike(alike: Alike, cosines: Callable[[slice], NDArray[np.float32]], k: int) -> csr_matrix:
    """Keep of each item the `k` largest positive cosines with others, columns ascending.

    `cosines` returns those of some kinds with all kinds, shape (n, n_kinds); it may be called from
    several threads. Ties go to the lower item.
    """
    n_kinds, n_items = len(alike.firsts), len(alike.kinds)
    # One more, for an item is nearest to itself and is not listed. The nearest items are of the
    # nearest kinds, for of equal kinds the lower one has the lowest item.
    near_kinds = top_k_rows(n_kinds, n_kinds, cosines, k + 1)
    nearest = _items_of(near_kinds, alike, k + 1)
    last = _last_columns(nearest, k)

    def without_itself(items: slice) -> csr_matrix:
        kinds = alike.kinds[items]
        own = nearest[kinds]
        owners = np.repeat(np.arange(len(kinds)), np.diff(own.indptr))
        is_self = own.indices == owners + items.start
        names_itself = np.bincount(owners[is_self], minlength=len(kinds)) > 0
        is_left = is_self | ((own.indices == last[kinds][owners]) & ~names_itself[owners])
        kept = np.flatnonzero(~is_left)
        offsets = offsets_of(np.bincount(owners[kept], minlength=len(kinds)))
        return csr_matrix((own.data[kept], own.indices[kept], offsets), shape=own.shape)

    parts = map_blocks(n_items, ITEMS_PER_BLOCK, without_itself)
    return vstack(parts, format="csr") if parts else nearest


def _items_of(near_kinds: csr_matrix, alike: Alike, k: int) -> csr_matrix:
    """Write items for kinds, and keep the `k` largest of each row, shape (n_kinds, n_items)."""
    by_kind = np.argsort(alike.kinds, kind="stable")
    # Where there are more of a kind, the others come after these.
    n_listed = np.minimum(np.bincount(alike.kinds, minlength=len(alike.firsts)), k)
    begins = np.searchsorted(alike.kinds[by_kind], np.arange(len(alike.firsts)))

    def listed(kinds: slice) -> csr_matrix:
        own = near_kinds[kinds]
        lengths = n_listed[own.indices]
        offsets = offsets_of(lengths)
        places = np.repeat(begins[own.indices] - offsets[:-1], lengths) + np.arange(offsets[-1])
        values, items = np.repeat(own.data, lengths), by_kind[places]
        shape = (own.shape[0], len(alike.kinds))
        return largest_of_rows(csr_matrix((values, items, offsets[own.indptr]), shape=shape), k)

    parts = map_blocks(near_kinds.shape[0], KINDS_PER_BLOCK, listed)
    return vstack(parts, format="csr") if parts else near_kinds


def _last_columns(nearest: csr_matrix, k: int) -> NDArray[np.int64]:
    """Return the column of the last of each row that has more than `k`, -1 for others, (n,)."""
    last = np.full(nearest.shape[0], -1, dtype=np.int64)
    full = np.flatnonzero(np.diff(nearest.indptr) > k)
    places = nearest.indptr[full].astype(np.int64)[:, np.newaxis] + np.arange(k + 1)
    # Of equal values the one of the highest column comes last: from behind it is met first.
    from_behind = places[:, ::-1]
    lowest = nearest.data[from_behind].argmin(axis=1)
    last[full] = nearest.indices[from_behind[np.arange(len(full)), lowest]]
    return last
