"""Which categories are near a shopper: the mean factor of each category beside their own. Pure."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.serve.profile import Profile
from service.shopper.view import Affinity

MAX_CATEGORIES = 8
MIN_ITEMS = 3
"""A category of fewer items has no mean to speak of."""


class CategoryFactors:
    """The mean factors of the categories of one snapshot, worked out once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    @cached_property
    def directions(self) -> NDArray[np.float32]:
        """Unit length means, shape (n_categories, n_factors); zero for a category of few items.

        The mean over all items is taken off first: it is what everybody likes.
        """
        items = self.snapshot.items
        n_categories, n_factors = len(items.categories), items.factors.shape[1]
        rows = np.asarray(items.category_rows)
        is_in = rows != MISSING_ROW
        sums = np.zeros((n_categories, n_factors), dtype=np.float64)
        np.add.at(sums, rows[is_in], items.factors[is_in])
        counts = np.bincount(rows[is_in], minlength=n_categories)[:, None]
        means = sums / np.maximum(counts, 1) - self.centre
        means[counts[:, 0] < MIN_ITEMS] = 0
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        directions: NDArray[np.float32] = (means / np.where(norms > 0, norms, 1)).astype(np.float32)
        return directions

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """The mean factor of all items, shape (n_factors,)."""
        factors = self.snapshot.items.factors
        if not len(factors):
            return np.zeros(factors.shape[1])
        centre: NDArray[np.float64] = factors.mean(axis=0, dtype=np.float64)
        return centre

    def nearest(self, profile: Profile) -> list[Affinity]:
        """Return the categories nearest to a shopper, the nearest first.

        Without factors it is the categories of the shopper's history that speak, by their weight.
        """
        items = self.snapshot.items
        if not profile.speaks or not len(items.categories):
            return []
        n_categories = len(items.categories)
        of_history = np.asarray(items.category_rows)[profile.history.rows]
        is_in = of_history != MISSING_ROW
        shares = np.bincount(
            of_history[is_in], weights=profile.weights[is_in], minlength=n_categories
        )
        taste = profile.weights @ items.fold_in[profile.history.rows]
        length = float(np.linalg.norm(taste)) if taste.size else 0.0
        nearness = self.directions @ (taste / length) if length > 0 else None
        order = np.argsort(-(shares if nearness is None else nearness), kind="stable")
        return [
            Affinity(
                category=items.categories.id(row),
                nearness=None if nearness is None else round(float(nearness[row]), 4),
                history_share=round(float(shares[row]), 4),
            )
            for row in order[:MAX_CATEGORIES].tolist()
            if (shares[row] > 0 if nearness is None else nearness[row] > 0)
        ]
