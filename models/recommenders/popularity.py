"""Popularity: what many users want lately, the same for everybody; the bar to clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset
from models.histories import Histories
from models.recommenders.confidence import user_item_confidence
from models.recommenders.settings import Settings
from models.snapshot import Arrays


@dataclass(frozen=True, slots=True)
class Popularity:
    """Time-decayed popularity, each user counting once per item and day."""

    name: ClassVar[str] = "popularity"
    popularity: NDArray[np.float32]
    """(n_items,) 0 to 1."""

    @classmethod
    def fit(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Sum what users said of each item, shrunk so that one user cannot make an item popular."""
        del seed
        confidence = user_item_confidence(dataset, settings.blend, now_ms)
        confidence.data = np.log1p(confidence.data)
        return cls(scale_to_one(np.asarray(confidence.sum(axis=0)).ravel()))

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
