"""Fit the parts of the hybrid, side by side.

A fit on all data can follow one on its past: each of its stages begins when the same stage of the
other is done, from where that ended. So both share the processors, and no stage that needs much
memory runs twice at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.dataset import Dataset
from models.histories import Histories
from models.recommenders.als import fit_factors, linear_fold_in, mean_weight
from models.recommenders.attribute_map import AttributeMap, max_features
from models.recommenders.attributes import likeness, token_rows
from models.recommenders.blocks import one_blas_thread
from models.recommenders.doubt import doubt_of, share_of_places
from models.recommenders.item_graph import build_graph
from models.recommenders.moments import Moments
from models.recommenders.parts import Factors, Parts, Scale, Trained
from models.recommenders.regime import FOR_NEW_ITEMS, Regime, regime_of
from models.recommenders.settings import Settings
from models.recommenders.spectral import LowPass, low_pass_factors
from models.recommenders.tasks import Tasks, side_by_side
from models.recommenders.trend import Trend

N_SAMPLED_USERS = 300


@dataclass(frozen=True, slots=True)
class Basis:
    """What every part is fitted on."""

    dataset: Dataset
    settings: Settings
    moments: Moments
    regime: Regime
    user_items: csr_matrix
    """(n_users, n_items) what each user had to do with, 0 or 1."""
    n_users_of: NDArray[np.int64]
    """(n_items,) users per item; 0 for a new one."""
    histories: Histories
    shares: csr_matrix
    """(n_users, n_items) histories, rows summing to 1."""
    scale: Scale

    @classmethod
    def of(cls, dataset: Dataset, settings: Settings, histories: Histories, *, seed: int) -> Self:
        """Sort the interactions, and sample the users on whom parts are scaled."""
        moments = Moments.of(dataset, settings.blend, max_per_user=settings.max_basket)
        user_items = moments.user_items()
        n_users_of = np.bincount(user_items.indices, minlength=dataset.n_items)
        shares = histories.shares(settings.blend, dataset.n_items)
        active = np.flatnonzero(np.diff(user_items.indptr))
        sampled = np.random.default_rng(seed).permutation(active)[:N_SAMPLED_USERS]
        return cls(
            dataset=dataset,
            settings=settings,
            moments=moments,
            regime=regime_of(moments),
            user_items=user_items,
            n_users_of=n_users_of,
            histories=histories,
            shares=shares,
            scale=Scale(shares[sampled], user_items[sampled], n_users_of > 0),
        )

    @property
    def now_ms(self) -> int:
        """When the histories are looked at."""
        return self.histories.now_ms

    def trend(self) -> Trend:
        """Say how much each item is wanted lately."""
        return Trend.of(self.moments, self.now_ms, days=self.settings.trend_days)


@dataclass(frozen=True, slots=True)
class AttributePart:
    """What attributes say, before it is weighed."""

    likeness: csr_matrix
    new_columns: csr_matrix
    doubt: NDArray[np.float32]
    new_share: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The stages of a fit that has begun; each function waits for its stage."""

    basis: Callable[[], Basis]
    als: Callable[[], Trained]
    low_pass: Callable[[], LowPass]
    graph: Callable[[], csr_matrix]
    attributes: Callable[[], AttributePart]
    parts: Callable[[], Parts]
    """All of them, brought to one scale."""


def fit_parts(dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Parts:
    """Fit every part on a dataset as it was at `now_ms`."""
    with one_blas_thread(), side_by_side() as tasks:
        return begin_fit(tasks, "fit", dataset, settings, now_ms=now_ms, seed=seed).parts()


def begin_fit(
    tasks: Tasks,
    name: str,
    dataset: Dataset,
    settings: Settings,
    *,
    now_ms: int,
    seed: int,
    after: Fit | None = None,
) -> Fit:
    """Begin to fit every part on a dataset as it was at `now_ms`; stages are called by the `name`.

    `after` is a fit on the past of the same dataset, under way or done. The caller holds
    `one_blas_thread`.
    """
    before = Fit(*[_nothing] * 6) if after is None else after

    def collect() -> Histories:
        return Histories.of(dataset.interactions, dataset.n_users, now_ms)

    def prepare(histories: Histories) -> Basis:
        return Basis.of(dataset, settings, histories, seed=seed)

    def als(histories: Histories, past: Trained | None) -> Trained:
        weights = histories.weights(settings.blend, dataset.n_items)
        mean = mean_weight(weights)
        weights.data /= np.float32(mean)
        start = None if past is None else past.factors
        return Trained(fit_factors(weights, settings, seed=seed, start=start), mean)

    def low_pass(on: Basis, past: LowPass | None) -> LowPass:
        start = None if past is None else past.vectors
        d = settings.spectral_dimensions
        return low_pass_factors(on.user_items, d, seed=seed, start=start)

    # ALS takes longest and the fit on all data waits for that on the past, so it goes first.
    histories = tasks.begin(f"{name}: histories", collect)
    fit_als = tasks.begin(f"{name}: als", als, histories, before.als)
    basis = tasks.begin(f"{name}: sort", prepare, histories)
    fit_low_pass = tasks.begin(f"{name}: low-pass", low_pass, basis, before.low_pass)
    graph = tasks.begin(f"{name}: graph", _graph, basis, before.graph)
    attributes = tasks.begin(f"{name}: attributes", _by_attributes, basis, before.attributes)
    scaled = (
        tasks.begin(f"{name}: scale low-pass", _low_pass_part, basis, fit_low_pass),
        tasks.begin(f"{name}: scale als", _als_part, basis, fit_als),
    )
    parts = tasks.begin(f"{name}: parts", _together, basis, *scaled, graph, attributes)
    return Fit(basis, fit_als, fit_low_pass, graph, attributes, parts)


def _nothing() -> Any:
    """Stand in for a stage of a fit that there is none of."""
    return None


def _together(
    on: Basis,
    spectral: Factors,
    als: tuple[Factors, Trained],
    graph: csr_matrix,
    attributes: AttributePart,
) -> Parts:
    trend, scale = on.trend(), on.scale
    everyone = np.tile(trend.popularity, (scale.shares.shape[0], 1))
    return Parts(
        graph=graph,
        likeness=attributes.likeness,
        new_columns=attributes.new_columns,
        spectral=spectral,
        als=als[0],
        popularity=trend.popularity,
        popularity_unit=scale.unit(everyone),
        lift=trend.lift,
        n_users_of=on.n_users_of,
        is_new=np.bincount(on.dataset.interactions.item_rows, minlength=on.dataset.n_items) == 0,
        doubt=attributes.doubt,
        new_share=attributes.new_share,
        regime=on.regime,
        sample=scale.shares,
        owned=scale.owned,
        trained=als[1],
    )


def _low_pass_part(on: Basis, low_pass: LowPass) -> Factors:
    return on.scale.of_factors(Factors(low_pass.fold_in, low_pass.factors))


def _als_part(on: Basis, trained: Trained) -> tuple[Factors, Trained]:
    users, items = trained.factors
    rarity = np.maximum(on.n_users_of, 1)[:, np.newaxis] ** -on.regime.als_exponent
    part = Factors(linear_fold_in(users, items, on.shares), (items * rarity).astype(np.float32))
    return on.scale.of_factors(part), trained


def _graph(on: Basis, *_: object) -> csr_matrix:
    return on.scale.of_graph(build_graph(on.moments, on.regime, on.settings.graph_k))


def _by_attributes(on: Basis, *_: object) -> AttributePart:
    """Return the likeness of items, the columns of those in doubt, and what is theirs of it."""
    settings, scale, n_items = on.settings, on.scale, on.dataset.n_items
    features = max_features(n_items)
    tokens = token_rows(on.dataset.catalog, scale.candidates, max_features=features)
    alike = scale.of_graph(likeness(tokens, settings.graph_k))
    new_columns = csr_matrix((n_items, n_items), dtype=np.float32)
    doubt = doubt_of(on.moments, on.n_users_of, on.now_ms, days=settings.trend_days)
    if doubt.any() and tokens.nnz:
        new_columns = _new_columns(on, tokens, doubt)
    # Of an item without attributes, its interactions say all there is.
    doubt *= np.bincount(new_columns.indices, minlength=n_items) > 0
    share = share_of_places(
        doubt,
        on.moments,
        created_at_ms=on.dataset.catalog.created_at_ms,
        is_described=np.diff(tokens.indptr) > 0,
        days=settings.trend_days,
    )
    return AttributePart(alike, new_columns, doubt, share)


def _new_columns(on: Basis, tokens: csr_matrix, doubt: NDArray[np.float32]) -> csr_matrix:
    """Return the columns of items in doubt at their places, zero elsewhere."""
    n_items, k, scale = on.dataset.n_items, on.settings.graph_k, on.scale
    # Nobody knows when in a history a new item would have come: what is near it counts both ways.
    graph = build_graph(on.moments, FOR_NEW_ITEMS, k, backward=1.0)
    mapping = AttributeMap.fit(on.dataset.catalog, tokens, graph, scale.shares, scale.candidates)
    if mapping is None:
        return csr_matrix((n_items, n_items), dtype=np.float32)
    new = np.flatnonzero(doubt)
    rows = mapping.columns(new, k)
    places = np.repeat(new, np.diff(rows.indptr))
    values = rows.data * doubt[places]
    columns = csr_matrix((values, (rows.indices, places)), shape=(n_items, n_items))
    return replace(scale, candidates=doubt > 0).of_graph(columns)
