"""What users did, as batches of newest distinct items: the only input of a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.dataset import Interactions
from models.manifest import Blend
from models.ragged import RowLists, offsets_of
from models.scoring import History, decayed_weights, recent_weights


@dataclass(frozen=True, slots=True)
class Histories:
    """One history per user, each by distinct item, oldest first.

    ``kinds`` and ``at_ms`` have the shape of ``items.rows``; ``now_ms`` is when they are looked at.
    """

    items: RowLists
    kinds: NDArray[np.int8]
    at_ms: NDArray[np.int64]
    now_ms: int

    @classmethod
    def of(cls, interactions: Interactions, n_users: int, now_ms: int) -> Self:
        """Collect the histories of users 0 to `n_users` - 1: strongest kind and newest moment."""
        pair = interactions.user_rows.astype(np.int64) << 32 | interactions.item_rows
        order = np.lexsort((interactions.at_ms, pair))
        is_last = np.append(np.diff(pair[order]) != 0, True)[: len(order)]
        last = order[is_last]
        starts = np.append(0, np.flatnonzero(is_last)[:-1] + 1)[: len(last)]
        kinds = interactions.kinds[order]
        strongest = np.maximum.reduceat(kinds, starts) if len(last) else kinds
        users, items = interactions.user_rows[last], interactions.item_rows[last]
        # They are in the order of user and item, which stays where moments are equal.
        by_time = np.lexsort((interactions.at_ms[last], users))
        counts = np.bincount(users, minlength=n_users)
        return cls(
            RowLists(offsets_of(counts), items[by_time].astype(np.int32)),
            strongest[by_time].astype(np.int8),
            interactions.at_ms[last][by_time],
            now_ms,
        )

    def __len__(self) -> int:
        return len(self.items)

    def one(self, user: int) -> History:
        """Return the history of one user."""
        bounds = slice(self.items.offsets[user], self.items.offsets[user + 1])
        return History(self.items.rows[bounds], self.kinds[bounds], self.at_ms[bounds])

    def take(self, users: NDArray[np.integer], *, max_recent: int | None = None) -> Histories:
        """Keep some users, and of each the `max_recent` newest items."""
        ends = self.items.offsets[1:][users]
        lengths = ends - self.items.offsets[:-1][users]
        if max_recent is not None:
            lengths = np.minimum(lengths, max_recent)
        offsets = offsets_of(lengths)
        chosen = np.repeat(ends - offsets[1:], lengths) + np.arange(offsets[-1])
        return Histories(
            RowLists(offsets, self.items.rows[chosen]),
            self.kinds[chosen],
            self.at_ms[chosen],
            self.now_ms,
        )

    def moments_later(self) -> NDArray[np.int64]:
        """Count, for every value, the later moments of the same history; shape of `at_ms`."""
        starts = np.zeros(len(self.at_ms), dtype=np.bool_)
        starts[1:] = self.at_ms[1:] != self.at_ms[:-1]
        lengths = np.diff(self.items.offsets)
        starts[self.items.offsets[:-1][lengths > 0]] = True
        moment = np.cumsum(starts)
        ends = self.items.offsets[1:][lengths > 0] - 1
        later: NDArray[np.int64] = np.repeat(moment[ends], lengths[lengths > 0]) - moment
        return later

    def weights(self, blend: Blend, n_items: int) -> csr_matrix:
        """Weigh every item of every history as `models.scoring` does, shape (n, `n_items`)."""
        decayed = decayed_weights(self.kinds, self.at_ms, self.now_ms, blend)
        values = recent_weights(decayed, self.moments_later(), blend)
        shape = (len(self), n_items)
        return csr_matrix((values, self.items.rows, self.items.offsets), shape=shape)

    def shares(self, blend: Blend, n_items: int) -> csr_matrix:
        """Weigh the newest items of every history so that each sums to 1, as online scoring does.

        Shape (n, `n_items`); a history whose weights are all zero has an empty row.
        """
        newest = self.take(np.arange(len(self)), max_recent=blend.max_recent)
        weights = newest.weights(blend, n_items)
        totals = np.asarray(weights.sum(axis=1)).ravel()
        per_value = np.repeat(np.where(totals > 0, totals, 1.0), np.diff(weights.indptr))
        weights.data = (weights.data / per_value).astype(np.float32)
        return weights

    def even_shares(self, blend: Blend, n_items: int) -> csr_matrix:
        """Weigh as `shares` does but for the order of moments: what new items are scored with."""
        return self.shares(msgspec.structs.replace(blend, recency=0.0), n_items)
