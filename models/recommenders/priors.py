"""Ranked lists for whoever has no history: what is popular, by context, and what is rising."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset
from models.manifest import Blend
from models.ragged import Neighbours, offsets_of
from models.recommenders.content import CATEGORY_SEPARATOR
from models.recommenders.popularity import scale_to_one
from models.scoring import decayed_weights
from models.snapshot import (
    POPULAR,
    TRENDING,
    Priors,
    category_prior,
    country_prior,
    trending_prior,
)
from models.vocabulary import Vocabulary

LIST_LENGTH = 300
MIN_COUNTRY_INTERACTIONS = 200
"""A country with fewer has no list of its own: it would be one shopper's taste."""
TREND_DAYS = 7.0
"""Half-life of what counts as now."""
USUAL_DAYS = 60.0
"""Half-life of what counts as usual."""

Ranking = tuple[NDArray[np.int32], NDArray[np.float32]]


def build_priors(
    dataset: Dataset, popularity: NDArray[np.float32], blend: Blend, *, now_ms: int
) -> Priors:
    """Make every list; `popularity` is that of the whole shop, shape (n_items,)."""
    lists = {POPULAR: rank(popularity), TRENDING: rank(_trend(dataset, now_ms))}
    for country, chosen in _countries(dataset):
        part = _part(dataset, chosen)
        # Where a country says nothing of an item, the shop's opinion breaks the tie.
        wanted = scale_to_one(_volume(part, blend, now_ms)) + 1e-3 * popularity
        lists[country_prior(country)] = rank(wanted)
        lists[trending_prior(country)] = rank(_trend(part, now_ms))
    for category, items in _category_items(dataset).items():
        scores = np.zeros(dataset.n_items, dtype=np.float32)
        # An item nobody has bought yet still belongs to its category's page.
        scores[items] = popularity[items] + np.float32(1e-6)
        lists[category_prior(category)] = rank(scores)
    lists = {key: ranking for key, ranking in lists.items() if len(ranking[0])}
    return Priors(
        keys=Vocabulary.from_ids(lists),
        lists=Neighbours(
            offsets_of(len(rows) for rows, _ in lists.values()),
            _joined([rows for rows, _ in lists.values()], np.int32),
            _joined([weights for _, weights in lists.values()], np.float32),
        ),
    )


def rank(scores: NDArray[np.generic], k: int = LIST_LENGTH) -> Ranking:
    """Return the `k` best items of positive score and their scores, ties by row."""
    values = scores.astype(np.float32)
    # A category has few of all items, and there are hundreds of categories.
    positive = np.flatnonzero(values > 0)
    order = positive[np.lexsort((positive, -values[positive]))[:k]]
    return order.astype(np.int32), values[order]


def growth(now: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compare what items got lately with their usual share of it, in standard deviations.

    `now` and `usual` are decayed volumes, shape (n_items,). A bestseller that
    sells as ever scores 0.
    """
    expected = usual * (now.sum() / max(usual.sum(), 1e-12))
    deviations: NDArray[np.float64] = (now - expected) / np.sqrt(expected + 1.0)
    return deviations


def _trend(dataset: Dataset, now_ms: int) -> NDArray[np.float32]:
    def volume(half_life_days: float) -> NDArray[np.float64]:
        even = Blend(half_life_days=half_life_days, event_weights=(1.0, 1.0, 1.0, 1.0, 0.0))
        return _volume(dataset, even, now_ms)

    return scale_to_one(np.maximum(growth(volume(TREND_DAYS), volume(USUAL_DAYS)), 0.0))


def _volume(dataset: Dataset, blend: Blend, now_ms: int) -> NDArray[np.float64]:
    """Sum decayed weights per item, each user counting with the root of its own sum."""
    rows = dataset.interactions
    weights = decayed_weights(rows.kinds, rows.at_ms, now_ms, blend)
    pair = rows.user_rows.astype(np.int64) * dataset.n_items + rows.item_rows
    pairs, slot = np.unique(pair, return_inverse=True)
    of_pair = np.sqrt(np.bincount(slot, weights=weights, minlength=len(pairs)))
    volume: NDArray[np.float64] = np.bincount(
        pairs % dataset.n_items, weights=of_pair, minlength=dataset.n_items
    ).astype(np.float64)
    return volume


def _countries(dataset: Dataset) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    country_rows = dataset.interactions.country_rows
    for row, country in enumerate(dataset.countries):
        chosen = country_rows == row
        if int(chosen.sum()) >= MIN_COUNTRY_INTERACTIONS:
            yield country, chosen


def _part(dataset: Dataset, chosen: NDArray[np.bool_]) -> Dataset:
    return replace(dataset, interactions=dataset.interactions.take(chosen))


def _category_items(dataset: Dataset) -> dict[str, list[int]]:
    """List the items of every category, those of its branches included."""
    found: dict[str, list[int]] = {}
    for item, category in enumerate(dataset.catalog.categories):
        if not category:
            continue
        path = [part.strip() for part in category.split(CATEGORY_SEPARATOR)]
        for depth in range(1, len(path) + 1):
            found.setdefault(f" {CATEGORY_SEPARATOR} ".join(path[:depth]), []).append(item)
    return dict(sorted(found.items()))


def _joined(parts: list[NDArray[np.generic]], dtype: type) -> NDArray:  # type: ignore[type-arg]  # of that dtype
    return np.concatenate([np.empty(0, dtype=dtype), *parts]).astype(dtype)
