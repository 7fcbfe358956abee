"""Popularity: what many users want lately, the same for everybody; the bar to clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset
from models.histories import Histories
from models.recommenders.moments import Moments
from models.recommenders.settings import Settings
from models.recommenders.trend import Trend
from models.snapshot import Arrays


@dataclass(frozen=True, slots=True)
class Popularity:
    """Interactions lately, each user counting once per item and moment."""

    name: ClassVar[str] = "popularity"
    popularity: NDArray[np.float32]
    """(n_items,) 0 to 1."""

    @classmethod
    def fit(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Count the interactions of each item, the newer the more where there is a clock."""
        del seed
        moments = Moments.of(dataset, settings.blend, max_per_user=settings.max_basket)
        return cls(Trend.of(moments, now_ms, days=settings.trend_days).popularity)

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Score every history alike."""
        return np.tile(self.popularity, (len(histories), 1))

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name the one array."""
        return {"popularity": self.popularity}

    @classmethod
    def from_arrays(cls, arrays: Arrays, settings: Settings) -> Self:
        """Open the one array."""
        del settings
        return cls(arrays["popularity"])  # type: ignore[arg-type]  # dtype as to_arrays wrote it


def scale_to_one(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Divide by the largest value, if there is a positive one."""
    largest = float(values.max(initial=0.0))
    return (values / (largest or 1.0)).astype(np.float32)
