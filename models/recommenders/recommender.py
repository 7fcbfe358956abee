"""What every recommender can do. A new one is one file here and a three-line class in its tests."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset
from models.histories import Histories
from models.recommenders.settings import Settings
from models.snapshot import Arrays


class Recommender(Protocol):
    """A fitted recommender; fitting makes a new one, so a second fit cannot depend on the first."""

    name: ClassVar[str]
    """What the evaluation and the manifest call it."""

    @classmethod
    def fit(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Learn from a dataset as it was at `now_ms`; same input and seed, same result."""

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Score all items for each history, shape (n, n_items); finite, 0 for nothing known."""

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name the arrays that hold what was learnt."""

    @classmethod
    def from_arrays(cls, arrays: Arrays, settings: Settings) -> Self:
        """Open what `to_arrays` returned."""
