"""The parts of the hybrid, each fitted alone and brought to one scale.

The mean of the 20 best scores that a part gives to a sample of users is its unit, so that one set
of weights fits catalogues and matrices of any size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.dataset import Dataset
from models.histories import Histories
from models.recommenders.als import FactorPair, fit_factors, linear_fold_in, mean_weight
from models.recommenders.attribute_map import AttributeMap, max_features
from models.recommenders.attributes import likeness, token_rows
from models.recommenders.blocks import beside
from models.recommenders.doubt import doubt_of
from models.recommenders.item_graph import build_graph
from models.recommenders.moments import Moments
from models.recommenders.regime import FOR_NEW_ITEMS, Regime, regime_of
from models.recommenders.settings import Settings
from models.recommenders.spectral import low_pass_factors
from models.recommenders.top_k import reached
from models.recommenders.trend import Trend

N_SAMPLED_USERS = 300
N_PLACES = 20


@dataclass(frozen=True, slots=True)
class Factors:
    """A linear model of low rank: ``score = (Σ_j w_j p_j) · q_i``."""

    fold_in: NDArray[np.float32]
    """(n_items, d) p."""
    factors: NDArray[np.float32]
    """(n_items, d) q."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Where a fit ended; a fit on nearly the same data gets there sooner from here."""

    vectors: NDArray[np.float32]
    """(n_items, d) singular vectors."""
    factors: FactorPair
    """Of ALS, (n_users, d) and (n_items, d)."""
    mean_weight: float
    """Of the history items that ALS was fitted on."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is merged into a hybrid; every part has unit scale."""

    graph: csr_matrix
    """(n_items, n_items) G."""
    likeness: csr_matrix
    """(n_items, n_items) cosines of attributes."""
    new_columns: csr_matrix
    """(n_items, n_items) what speaks for new and rare items, mapped from their attributes."""
    spectral: Factors
    als: Factors
    popularity: NDArray[np.float32]
    """(n_items,) 0 to 1."""
    popularity_unit: float
    """What the popularity is multiplied with to have unit scale."""
    lift: NDArray[np.float32]
    """(n_items,) the trend that every item's scores are multiplied with."""
    n_users_of: NDArray[np.int64]
    """(n_items,) users per item; 0 for a new one."""
    doubt: NDArray[np.float32]
    """(n_items,) how much of what is said of an item its attributes say, 0 to 1, `doubt_of`."""
    regime: Regime
    sample: csr_matrix
    """(n, n_items) histories of sampled users, rows summing to 1."""
    owned: csr_matrix
    """(n, n_items) what these users had to do with."""
    trained: Trained


def fit_parts(
    dataset: Dataset, settings: Settings, *, now_ms: int, seed: int, start: Trained | None = None
) -> Parts:
    """Fit every part on a dataset as it was at `now_ms`.

    `start` is what a fit on the past of the same dataset ended with.
    """
    blend, n_items = settings.blend, dataset.n_items
    moments = Moments.of(dataset, blend, max_per_user=settings.max_basket)
    regime = regime_of(moments)
    user_items = moments.user_items()
    n_users_of = np.bincount(user_items.indices, minlength=n_items)
    histories = Histories.of(dataset.interactions, dataset.n_users, now_ms)
    shares = histories.shares(blend, n_items)
    active = np.flatnonzero(np.diff(user_items.indptr))
    sampled = np.random.default_rng(seed).permutation(active)[:N_SAMPLED_USERS]
    scale = Scale(shares[sampled], user_items[sampled], n_users_of > 0)

    def fit_als() -> tuple[Factors, FactorPair, float]:
        return _als(histories, n_users_of, regime, settings, seed=seed, start=start)

    with beside(fit_als) as als_result:
        graph = scale.of_graph(build_graph(moments, regime, settings.graph_k))
        alike, new_columns, doubt = _by_attributes(dataset, moments, scale, settings, now_ms=now_ms)
        low_pass = low_pass_factors(
            user_items,
            settings.spectral_dimensions,
            seed=seed,
            start=None if start is None else start.vectors,
        )
        als, factors, mean = als_result()
    trend = Trend.of(moments, now_ms, days=settings.trend_days)
    return Parts(
        graph=graph,
        likeness=alike,
        new_columns=new_columns,
        spectral=scale.of_factors(Factors(low_pass.fold_in, low_pass.factors)),
        als=scale.of_factors(als),
        popularity=trend.popularity,
        popularity_unit=scale.unit(np.tile(trend.popularity, (len(sampled), 1))),
        lift=trend.lift,
        n_users_of=n_users_of,
        doubt=doubt,
        regime=regime,
        sample=scale.shares,
        owned=scale.owned,
        trained=Trained(low_pass.vectors, factors, mean),
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """Sampled users, on whom the unit of every part is measured."""

    shares: csr_matrix
    owned: csr_matrix
    candidates: NDArray[np.bool_]
    """(n_items,) the items whose scores count."""

    def unit(self, scores: NDArray[np.float32]) -> float:
        """Return the factor that makes the mean of the best scores 1; 1 where all are zero."""
        owners = np.repeat(np.arange(len(scores)), np.diff(self.owned.indptr))
        scores[owners, self.owned.indices] = 0.0
        scores[:, ~self.candidates] = 0.0
        k = min(N_PLACES, scores.shape[1])
        if not scores.size:
            return 1.0
        floors = reached(scores, k)
        best = [np.sort(row[row >= low])[-k:] for row, low in zip(scores, floors, strict=True)]
        mean = float(np.mean(best, dtype=np.float64))
        # Four digits: the weights of a version are to be read.
        return float(f"{1.0 / mean:.4g}") if mean > 1e-12 else 1.0

    def of_graph(self, graph: csr_matrix) -> csr_matrix:
        """Scale a graph."""
        if graph.nnz == 0:
            return graph
        return graph * np.float32(self.unit((self.shares @ graph).toarray()))

    def of_factors(self, part: Factors) -> Factors:
        """Scale a linear model of low rank."""
        if not part.factors.shape[1]:
            return part
        unit = self.unit((self.shares @ part.fold_in) @ part.factors.T)
        return Factors(part.fold_in * np.float32(unit), part.factors)


def _by_attributes(
    dataset: Dataset, moments: Moments, scale: Scale, settings: Settings, *, now_ms: int
) -> tuple[csr_matrix, csr_matrix, NDArray[np.float32]]:
    """Return the likeness of items, the columns of those in doubt, and how much each is."""
    n_items = dataset.n_items
    tokens = token_rows(dataset.catalog, scale.candidates, max_features=max_features(n_items))
    alike = scale.of_graph(likeness(tokens, settings.graph_k))
    new_columns = csr_matrix((n_items, n_items), dtype=np.float32)
    n_users_of = np.bincount(moments.user_items().indices, minlength=n_items)
    doubt = doubt_of(moments, n_users_of, now_ms, days=settings.trend_days)
    if doubt.any() and tokens.nnz:
        new_columns = _new_columns(dataset, tokens, moments, scale, doubt=doubt, k=settings.graph_k)
    # Of an item without attributes, its interactions say all there is.
    doubt *= np.bincount(new_columns.indices, minlength=n_items) > 0
    return alike, new_columns, doubt


def _new_columns(
    dataset: Dataset,
    tokens: csr_matrix,
    moments: Moments,
    scale: Scale,
    *,
    doubt: NDArray[np.float32],
    k: int,
) -> csr_matrix:
    """Return the columns of items in doubt at their places, zero elsewhere."""
    n_items = dataset.n_items
    # Nobody knows when in a history a new item would have come: what is near it counts both ways.
    graph = build_graph(moments, FOR_NEW_ITEMS, k, backward=1.0)
    mapping = AttributeMap.fit(dataset.catalog, tokens, graph, scale.shares, scale.candidates)
    if mapping is None:
        return csr_matrix((n_items, n_items), dtype=np.float32)
    new = np.flatnonzero(doubt)
    rows = mapping.columns(new, k)
    places = np.repeat(new, np.diff(rows.indptr))
    values = rows.data * doubt[places]
    columns = csr_matrix((values, (rows.indices, places)), shape=(n_items, n_items))
    return replace(scale, candidates=doubt > 0).of_graph(columns)


def _als(
    histories: Histories,
    n_users_of: NDArray[np.int64],
    regime: Regime,
    settings: Settings,
    *,
    seed: int,
    start: Trained | None,
) -> tuple[Factors, FactorPair, float]:
    shares = histories.shares(settings.blend, len(n_users_of))
    weights = histories.weights(settings.blend, len(n_users_of))
    mean = mean_weight(weights)
    weights.data /= np.float32(mean)
    users, items = fit_factors(
        weights, settings, seed=seed, start=None if start is None else start.factors
    )
    rarity = np.maximum(n_users_of, 1)[:, np.newaxis] ** -regime.als_exponent
    factors = (items * rarity).astype(np.float32)
    return Factors(linear_fold_in(users, items, shares), factors), (users, items), mean
