"""The shoppers of the simulated shop: who they are, how often they come, what they like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.catalog import N_LATENT, Shop
from training.simulation.config import MS_PER_DAY, WorldConfig
from training.simulation.departments import COUNTRIES, PLATFORMS, STYLES

NEVER_SEEN_MS = -1
_ACTIVITY_EXPONENT = 0.8


@dataclass(frozen=True, slots=True)
class Shoppers:
    """One row per shopper, arrays of shape (n_shoppers,) where nothing else is said."""

    user_ids: list[str]
    anonymous_ids: list[str]
    """Who the shop takes them for while they are not signed in."""
    activity: NDArray[np.float64]
    """How often they come, relative weight > 0, Zipf."""
    first_seen_ms: NDArray[np.int64]
    """When they first came, `NEVER_SEEN_MS` for a newcomer, who has no history."""
    countries: list[str]
    platforms: list[str]
    price_level: NDArray[np.float32]
    """The price level they are at ease with, in an item's units."""
    leaf_taste: NDArray[np.float32]
    """(n_shoppers, n_leaves) part of utility."""
    brand_taste: NDArray[np.float32]
    """(n_shoppers, n_brands) part of utility."""
    style_taste: NDArray[np.float32]
    """(n_shoppers, n_styles) part of utility."""

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def is_newcomer(self) -> NDArray[np.bool_]:
        """Tell who has no history."""
        return np.asarray(self.first_seen_ms == NEVER_SEEN_MS)


def make_shoppers(config: WorldConfig, shop: Shop) -> Shoppers:
    """Draw shoppers whose tastes for leaves and brands come from one latent vector each.

    That shared vector is what collaborative filtering can find; the noise on top is what it cannot.
    """
    rng = config.rng("shoppers")
    n, scale = config.n_shoppers, config.taste_scale
    taste = rng.normal(size=(n, N_LATENT)).astype(np.float32)
    begin = config.now_ms - config.days * MS_PER_DAY
    first_seen = begin + (rng.random(n) ** 2 * config.days * 0.95 * MS_PER_DAY).astype(np.int64)
    first_seen[rng.random(n) < config.newcomer_share] = NEVER_SEEN_MS
    first_seen[0] = begin  # somebody has always been there, however small the world
    ranks = rng.permutation(n) + 1.0
    return Shoppers(
        user_ids=[f"u{row + 1:06d}" for row in range(n)],
        anonymous_ids=[f"a{row + 1:06d}" for row in range(n)],
        activity=np.asarray(ranks**-_ACTIVITY_EXPONENT, dtype=np.float64),
        first_seen_ms=first_seen,
        countries=_draw(COUNTRIES, n, rng),
        platforms=_draw(PLATFORMS, n, rng),
        price_level=rng.normal(size=n).astype(np.float32),
        leaf_taste=_tastes(taste, shop.leaf_latents, (1.6 * scale, 0.4 * scale), rng),
        brand_taste=_tastes(taste, shop.brand_latents, (0.5 * scale, 0.3 * scale), rng),
        style_taste=np.float32(0.7 * scale)
        * rng.standard_normal((n, len(STYLES)), dtype=np.float32),
    )


def _tastes(
    taste: NDArray[np.float32],
    latents: NDArray[np.float32],
    scales: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Join what shoppers share with others and what is theirs alone, shape (n_shoppers, n)."""
    shared, own = np.float32(scales[0]), np.float32(scales[1])
    noise = rng.standard_normal((len(taste), len(latents)), dtype=np.float32)
    return np.asarray(shared * (taste @ latents.T) + own * noise, dtype=np.float32)


def _draw(shares: tuple[tuple[str, float], ...], n: int, rng: np.random.Generator) -> list[str]:
    names, weights = zip(*shares, strict=True)
    return [names[row] for row in rng.choice(len(names), n, p=np.array(weights) / sum(weights))]
