"""A cleaned shop in memory: interactions and catalogue as columns over dense rows.

The reader in `training` makes one; every recommender's ``fit`` takes one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Interactions:
    """One row per interaction, ordered by time; all arrays of shape (n_interactions,)."""

    user_rows: NDArray[np.int32]
    item_rows: NDArray[np.int32]
    kinds: NDArray[np.int8]
    """`InteractionKind` codes."""
    at_ms: NDArray[np.int64]
    quantity: NDArray[np.float32]
    price: NDArray[np.float32]
    """Per unit; NaN where unknown."""
    order_rows: NDArray[np.int32]
    """Dense number of the order, -1 where unknown."""
    country_rows: NDArray[np.int32]
    """Row in `Dataset.countries`, -1 where unknown."""
    channel_rows: NDArray[np.int32]
    """Row in `Dataset.channels`, -1 where unknown."""

    def __len__(self) -> int:
        return len(self.user_rows)

    def take(self, chosen: NDArray[np.generic]) -> Interactions:
        """Keep the rows of a boolean mask or of an index array."""
        return Interactions(**{name: getattr(self, name)[chosen] for name in self.__slots__})


@dataclass(frozen=True, slots=True)
class Catalog:
    """One row per item, shape (n_items,) each; items without a catalogue row are blank."""

    titles: list[str | None]
    categories: list[str | None]
    """A path, ``Home > Kitchen > Mugs``."""
    brands: list[str | None]
    attributes: list[list[str]]
    price: NDArray[np.float32]
    available: NDArray[np.bool_]
    created_at_ms: NDArray[np.int64]
    image_urls: list[str | None]
    urls: list[str | None]
    vectors: NDArray[np.float32] | None
    """Ready-made embeddings, shape (n_items, v), or nothing."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything a recommender may learn from."""

    user_ids: Vocabulary
    """Pseudonyms, or raw ids in an evaluation that writes nothing."""
    item_ids: Vocabulary
    countries: Vocabulary
    channels: Vocabulary
    interactions: Interactions
    catalog: Catalog

    @property
    def n_users(self) -> int:
        """How many users there are, with and without interactions."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """How many items there are, with and without interactions."""
        return len(self.item_ids)
