"""The catalogue of the simulated shop: what a shopper sees of an item, and what moves them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.simulation.config import MS_PER_DAY, WorldConfig
from training.simulation.departments import (
    BRAND_BEGINNINGS,
    BRAND_ENDINGS,
    COLOURS,
    LEAVES,
    STYLES,
)

N_LATENT = 8
"""Dimensions in which tastes and categories meet."""
_ITEMS_PER_LEAF = 8
_PRICE_SPREAD = 0.45
_BRAND_LEVEL_WEIGHT = 0.5
_FIRST_DAY_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Shop:
    """One row per item, arrays of shape (n_items,) where nothing else is said."""

    item_ids: list[str]
    titles: list[str]
    image_urls: list[str]
    leaf_rows: NDArray[np.int32]
    """Row in `leaves`."""
    brand_rows: NDArray[np.int32]
    style_rows: NDArray[np.int32]
    colour_rows: NDArray[np.int32]
    price: NDArray[np.float64]
    price_level: NDArray[np.float32]
    """How dear the item is for its leaf, in standard deviations."""
    quality: NDArray[np.float32]
    """What everybody agrees on, added to every shopper's utility."""
    reach: NDArray[np.float64]
    """How often a browsing shopper comes across the item, relative weight > 0."""
    created_at_ms: NDArray[np.int64]
    available: NDArray[np.bool_]
    leaves: list[str]
    """Category paths."""
    goes_with: NDArray[np.int32]
    """(n_leaves,) the leaf whose items are bought together with those of this leaf."""
    leaf_latents: NDArray[np.float32]
    """(n_leaves, N_LATENT) leaves of one department lie near each other."""
    brands: list[str]
    brand_latents: NDArray[np.float32]
    """(n_brands, N_LATENT)."""

    def __len__(self) -> int:
        return len(self.item_ids)

    def is_cold(self, now_ms: int) -> NDArray[np.bool_]:
        """Tell which items came within the last day and so have no interaction yet."""
        return self.created_at_ms > now_ms - MS_PER_DAY

    def frame(self) -> pl.DataFrame:
        """Lay the catalogue out as the trainer reads it."""
        styles = [STYLES[row][0] for row in self.style_rows]
        colours = [COLOURS[row].lower() for row in self.colour_rows]
        return pl.DataFrame(
            {
                "item_id": self.item_ids,
                "title": self.titles,
                "category": [self.leaves[row] for row in self.leaf_rows],
                "brand": [self.brands[row] for row in self.brand_rows],
                "price": self.price,
                "available": self.available,
                "attributes": [
                    [f"style:{s}", f"colour:{c}"] for s, c in zip(styles, colours, strict=True)
                ],
                "image_url": self.image_urls,
                "url": [f"/demo/items/{i}" for i in self.item_ids],
                "created_at": pl.Series(self.created_at_ms).cast(pl.Datetime("ms", "UTC")),
            }
        )


def make_shop(config: WorldConfig) -> Shop:
    """Draw a catalogue; a small one has fewer leaves, so that each leaf keeps a choice."""
    rng = config.rng("catalog")
    n = config.n_items
    n_leaves = int(np.clip(n // _ITEMS_PER_LEAF, 2, len(LEAVES)))
    leaf_rows = np.concatenate(
        [np.arange(n_leaves), rng.choice(n_leaves, n - n_leaves, p=_uneven(n_leaves, rng))]
    ).astype(np.int32)
    brands = _brand_names(int(np.clip(n // 20, 4, 90)), rng)
    brand_rows = rng.choice(len(brands), n, p=_uneven(len(brands), rng)).astype(np.int32)
    brand_level = rng.normal(size=len(brands))
    style_rows = rng.integers(len(STYLES), size=n).astype(np.int32)
    colour_rows = rng.integers(len(COLOURS), size=n).astype(np.int32)
    level = _BRAND_LEVEL_WEIGHT * brand_level[brand_rows] + rng.normal(size=n)
    medians = np.array([leaf.median_price for leaf in LEAVES])[leaf_rows]
    quality = rng.normal(scale=config.quality_scale, size=n)
    return Shop(
        item_ids=[f"p{row + 1:05d}" for row in range(n)],
        titles=_titles(leaf_rows, [brands[b] for b in brand_rows], style_rows, colour_rows, rng),
        image_urls=[f"/demo/pictures/p{row + 1:05d}.svg" for row in range(n)],
        leaf_rows=leaf_rows,
        brand_rows=brand_rows,
        style_rows=style_rows,
        colour_rows=colour_rows,
        price=np.maximum(1.0, np.round(medians * np.exp(_PRICE_SPREAD * level)) - 0.05),
        price_level=(level / np.hypot(1.0, _BRAND_LEVEL_WEIGHT)).astype(np.float32),
        quality=quality.astype(np.float32),
        reach=np.exp(rng.normal(scale=0.6, size=n)),
        created_at_ms=_arrivals(config, n_leaves, rng),
        available=rng.random(n) >= config.unavailable_share,
        leaves=[leaf.path for leaf in LEAVES[:n_leaves]],
        goes_with=_complements(n_leaves),
        leaf_latents=_leaf_latents(n_leaves, rng),
        brands=brands,
        brand_latents=_unit_rows(rng.normal(size=(len(brands), N_LATENT))),
    )


def _arrivals(config: WorldConfig, n_leaves: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Spread arrivals: most items are older than the history, others keep coming, some today."""
    n, now, begin = config.n_items, config.now_ms, config.now_ms - config.days * MS_PER_DAY
    created = begin - rng.integers(1, 400 * MS_PER_DAY, size=n)
    newer = rng.random(n) >= _FIRST_DAY_SHARE
    created[newer] = rng.integers(begin, now - 2 * MS_PER_DAY, size=int(newer.sum()))
    # The first item of each leaf was always there: a shopper can browse any leaf on the first day.
    created[:n_leaves] = begin - rng.integers(2 * MS_PER_DAY, 400 * MS_PER_DAY, size=n_leaves)
    n_cold = round(config.cold_share * n)
    cold = rng.choice(np.arange(n_leaves, n), min(n_cold, n - n_leaves), replace=False)
    created[cold] = rng.integers(now - MS_PER_DAY + 1, now, size=len(cold))
    return created


def _titles(
    leaf_rows: NDArray[np.int32],
    brands: list[str],
    style_rows: NDArray[np.int32],
    colour_rows: NDArray[np.int32],
    rng: np.random.Generator,
) -> list[str]:
    """Join a brand, a word of the style, a noun of the leaf and a colour per item."""
    picks = rng.integers(1 << 16, size=(len(leaf_rows), 2))
    titles = []
    for leaf, brand, style, colour, (noun, word) in zip(
        leaf_rows, brands, style_rows, colour_rows, picks, strict=True
    ):
        nouns, words = LEAVES[leaf].nouns, STYLES[style][1]
        name = f"{words[word % len(words)]} {nouns[noun % len(nouns)]}"
        titles.append(f"{brand} {name}, {COLOURS[colour]}")
    return titles


def _brand_names(n_brands: int, rng: np.random.Generator) -> list[str]:
    names = [begin + end for begin in BRAND_BEGINNINGS for end in BRAND_ENDINGS]
    return [names[row] for row in rng.choice(len(names), n_brands, replace=False)]


def _uneven(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw shares that add up to 1, the largest a few times the smallest."""
    weights = rng.uniform(0.5, 1.5, size=n) ** 1.5
    return np.asarray(weights / weights.sum())


def _complements(n_leaves: int) -> NDArray[np.int32]:
    """Find each leaf's companion by name; in a small world a missing one is its neighbour."""
    row_of = {leaf.path.rsplit(" > ", 1)[1]: row for row, leaf in enumerate(LEAVES[:n_leaves])}
    return np.array(
        [row_of.get(leaf.goes_with, (row + 1) % n_leaves) for row, leaf in enumerate(LEAVES)][
            :n_leaves
        ],
        dtype=np.int32,
    )


def _leaf_latents(n_leaves: int, rng: np.random.Generator) -> NDArray[np.float32]:
    departments = {leaf.path.split(" > ", 1)[0] for leaf in LEAVES}
    centre = {name: rng.normal(size=N_LATENT) for name in sorted(departments)}
    own = rng.normal(size=(len(LEAVES), N_LATENT))
    rows = [
        0.8 * centre[leaf.path.split(" > ", 1)[0]] + o for leaf, o in zip(LEAVES, own, strict=True)
    ]
    return _unit_rows(np.array(rows[:n_leaves]))


def _unit_rows(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
