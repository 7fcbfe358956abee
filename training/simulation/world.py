"""The world: a shop and its shoppers made from one configuration, and the truth about every click.

    P(click on item i at position p) = examination(p) · sigmoid(utility(shopper, i, intent))

Clicks on one slate are independent, so what any slate will earn can be computed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.simulation.catalog import Shop, make_shop
from training.simulation.config import WorldConfig
from training.simulation.shoppers import Shoppers, make_shoppers

INTENT_BONUS = 1.2
"""What an item of the leaf a visit is about gains in utility."""
COMPLEMENT_BONUS = 0.6
"""What an item of the companion of that leaf gains."""
PRICE_WEIGHT = 0.35
BANNER_UTILITY = -0.4
"""How much more eye-catching a banner is than its department's middling item."""
NO_INTENT = -1
UNKNOWN_ROW = -1
"""An item that is not of this shop, as a merchandiser's rule may pin: neither liked nor not."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is true; the history and the live visits are drawn from it."""

    config: WorldConfig
    shop: Shop
    shoppers: Shoppers

    def utility(
        self, shopper_rows: ArrayLike, item_rows: ArrayLike, intent_leaves: ArrayLike = NO_INTENT
    ) -> NDArray[np.float32]:
        """Utility of items for shoppers on visits with an intent; the arguments broadcast."""
        users, items = np.asarray(shopper_rows), np.asarray(item_rows)
        intents = np.asarray(intent_leaves)
        shop, shoppers, scale = self.shop, self.shoppers, self.config.taste_scale
        leaves = shop.leaf_rows[items]
        companions = np.where(intents == NO_INTENT, NO_INTENT, shop.goes_with[intents])
        distance = np.abs(shoppers.price_level[users] - shop.price_level[items])
        return np.asarray(
            self.config.base_utility
            + shop.quality[items]
            + shoppers.leaf_taste[users, leaves]
            + shoppers.brand_taste[users, shop.brand_rows[items]]
            + shoppers.style_taste[users, shop.style_rows[items]]
            + scale * (PRICE_WEIGHT * (1.0 - distance))
            + scale
            * (INTENT_BONUS * (leaves == intents) + COMPLEMENT_BONUS * (leaves == companions)),
            dtype=np.float32,
        )

    def click_probability(
        self, shopper_row: int, item_rows: ArrayLike, intent_leaf: int = NO_INTENT
    ) -> NDArray[np.float64]:
        """Probability of a click on each item of a slate in its order, shape (n,).

        Of one that the shop does not know, ``UNKNOWN_ROW``, nothing but the base speaks.
        """
        rows = np.asarray(item_rows, dtype=np.int64)
        utility = self.utility(shopper_row, rows, intent_leaf)
        attraction = sigmoid(np.where(rows == UNKNOWN_ROW, self.config.base_utility, utility))
        return examination(np.arange(1, len(rows) + 1), self.config.position_bias) * attraction

    def banner_click_probability(self, shopper_row: int, leaf_rows: ArrayLike) -> float:
        """Probability of a click on a banner, at position 1, that advertises these leaves.

        A banner of no leaf, as one that was added in the console, is neither liked nor not.
        """
        leaves = np.asarray(leaf_rows, dtype=np.int64)
        taste = self.shoppers.leaf_taste[shopper_row, leaves].mean() if len(leaves) else 0.0
        utility = self.config.base_utility + BANNER_UTILITY + 1.5 * float(taste)
        return float(sigmoid(np.array(utility)))

    def draw_intents(
        self, shopper_rows: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Draw what each visit is about: a leaf, by taste, shape (n,)."""
        wanted = 1.2 * self.shoppers.leaf_taste[shopper_rows]
        return np.asarray(np.argmax(wanted + rng.gumbel(size=wanted.shape), axis=1), dtype=np.int32)


def make_world(config: WorldConfig) -> World:
    """Make the world of a configuration."""
    shop = make_shop(config)
    return World(config=config, shop=shop, shoppers=make_shoppers(config, shop))


def examination(positions: ArrayLike, position_bias: float) -> NDArray[np.float64]:
    """Probability that a shopper looks at a 1-based position: ``p ** -η``."""
    return np.asarray(positions, dtype=np.float64) ** -position_bias


def sigmoid(utility: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probability of liking what was looked at."""
    return np.asarray(1.0 / (1.0 + np.exp(-utility.astype(np.float64))))
