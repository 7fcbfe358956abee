"""What the timestamps of a data set can tell: order, a clock, or nothing.

Public splits often carry no time at all, or an order dressed up as one day a step. What fits a real
clock misleads there, so a few defaults depend on what is found here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.dataset import Dataset
from models.distinct import distinct
from models.manifest import Blend

CLOCK_CORRELATION = 0.9
"""Above it, a user's last timestamp is told by how often the user came: then it only counts."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Distinct (user, moment, item) in the order of user and time; n values, m moments."""

    user_rows: NDArray[np.int32]
    """(n,)"""
    item_rows: NDArray[np.int32]
    """(n,)"""
    at_ms: NDArray[np.int64]
    """(n,)"""
    numbers: NDArray[np.int64]
    """(n,) the moment of each value, counted through all users."""
    owners: NDArray[np.int32]
    """(m,) the user of each moment."""
    n_users: int
    n_items: int

    @classmethod
    def of(cls, dataset: Dataset, blend: Blend, *, max_per_user: int) -> Self:
        """Sort the interactions that weigh anything; of a user the newest `max_per_user`."""
        rows = dataset.interactions
        rows = rows.take(np.asarray(blend.event_weights)[rows.kinds] > 0)
        # By user, moment and item: numbers that are nearly in order sort faster than three keys.
        order = np.argsort(rows.user_rows.astype(np.int64) << 32 | rows.item_rows, kind="stable")
        order = order[np.lexsort((rows.at_ms[order], rows.user_rows[order]))]
        users, items, at_ms = (
            values[order] for values in (rows.user_rows, rows.item_rows, rows.at_ms)
        )
        is_new_moment = _changes(users) | _changes(at_ms)
        is_first = is_new_moment | _changes(items)
        ends = np.cumsum(np.bincount(users[is_first], minlength=dataset.n_users))
        place = ends[users[is_first]] - np.arange(int(is_first.sum()))
        kept = np.flatnonzero(is_first)[place <= max_per_user]
        users, items, at_ms = users[kept], items[kept], at_ms[kept]
        starts = _changes(users) | _changes(at_ms)
        return cls(
            users.astype(np.int32),
            items.astype(np.int32),
            at_ms.astype(np.int64),
            np.cumsum(starts) - 1,
            users[starts].astype(np.int32),
            dataset.n_users,
            dataset.n_items,
        )

    @property
    def orderedness(self) -> float:
        """Return 0 where each user has one moment, 1 where each item has its own."""
        n_active = len(distinct(self.user_rows))
        steps = len(self.user_rows) - n_active
        return (len(self.owners) - n_active) / steps if steps else 0.0

    @property
    def users_per_item(self) -> float:
        """Return the mean number of users of the items that anybody has met; 0 without any."""
        pairs = distinct(self.user_rows.astype(np.int64) << 32 | self.item_rows)
        return len(pairs) / max(len(distinct(self.item_rows)), 1)

    @property
    def has_clock(self) -> bool:
        """Say whether timestamps are a clock's, not all equal and not a mere count of steps.

        Where they count steps, the last timestamp of a user follows from the number of moments.
        """
        if not len(self.at_ms) or self.at_ms.min() == self.at_ms.max():
            return False
        n_moments = np.bincount(self.owners, minlength=self.n_users)
        active = np.flatnonzero(n_moments)
        last = np.full(self.n_users, self.at_ms.min())
        np.maximum.at(last, self.user_rows, self.at_ms)
        span = np.sqrt((last[active] - self.at_ms.min()).astype(np.float64))
        steps = np.log(n_moments[active])
        if span.std() == 0 or steps.std() == 0:
            return True
        return bool(np.corrcoef(steps, span)[0, 1] < CLOCK_CORRELATION)

    def user_items(self) -> csr_matrix:
        """Mark what each user had to do with, 0 or 1, shape (n_users, n_items)."""
        return _marks(self.user_rows, self.item_rows, (self.n_users, self.n_items))

    def moment_items(self) -> csr_matrix:
        """Mark what each moment brought, 0 or 1, shape (m, n_items)."""
        return _marks(self.numbers, self.item_rows, (len(self.owners), self.n_items))


def _changes(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    changes = np.ones(len(values), dtype=np.bool_)
    changes[1:] = values[1:] != values[:-1]
    return changes


def _marks(
    rows: NDArray[np.integer], columns: NDArray[np.integer], shape: tuple[int, int]
) -> csr_matrix:
    marks = csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)
    marks.sum_duplicates()
    marks.data[:] = 1.0
    return marks
