"""How much an item is wanted lately, against how much it always was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.recommenders.moments import Moments
from models.scoring import MS_PER_DAY

PRIOR_INTERACTIONS = 5.0
"""Interactions of average recency that every item is thought to have besides its own."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Recent volume and its ratio to what is usual, of every item."""

    recent: NDArray[np.float64]
    """(n_items,) ``r_i = Σ e^(-age / days)``; without a clock the plain count."""
    lift: NDArray[np.float32]
    """(n_items,) ``((r_i + 5 r) / (n_i + 5) / r)^.5``, r the mean over interactions; or 1."""

    @classmethod
    def of(cls, moments: Moments, now_ms: int, *, days: float) -> Self:
        """Sum the interactions, newer ones louder."""
        n_items = moments.n_items
        total = np.bincount(moments.item_rows, minlength=n_items).astype(np.float64)
        if not moments.has_clock:
            return cls(total, np.ones(n_items, dtype=np.float32))
        age_days = np.maximum(now_ms - moments.at_ms, 0) / MS_PER_DAY
        fresh = np.exp(-age_days / days)
        recent = np.bincount(moments.item_rows, weights=fresh, minlength=n_items).astype(np.float64)
        usual = max(float(fresh.mean()), 1e-12)
        shrunk = recent + PRIOR_INTERACTIONS * usual
        lift = np.sqrt(shrunk / (total + PRIOR_INTERACTIONS) / usual)
        return cls(recent, lift.astype(np.float32))

    @property
    def popularity(self) -> NDArray[np.float32]:
        """Return ``log(1 + r_i / mean r)`` scaled to at most 1."""
        level = np.log1p(self.recent / max(float(self.recent.mean()), 1e-12))
        return (level / max(float(level.max(initial=0.0)), 1e-12)).astype(np.float32)
