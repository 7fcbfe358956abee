"""The item graph: for each item, which others it speaks for.

Three voices are added up: items that the same users want (co-occurrence, normalised by how common
both are), items that follow it in users' histories (directed, the nearer the louder), and items of
similar attributes. Items without interactions are listed by their attributes, or nobody would meet
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags

from models.dataset import Dataset
from models.histories import Histories
from models.ragged import Neighbours
from models.recommenders.content import embed
from models.recommenders.rounding import exact_cosines
from models.recommenders.settings import Settings
from models.recommenders.top_k import top_k_rows
from models.snapshot import Arrays

MAX_STEPS = 3
"""How far apart in a history two items may be for one to follow the other."""


@dataclass(frozen=True, slots=True)
class ItemGraph:
    """Weighted neighbours of each item, by falling weight; the loudest weighs 1."""

    name: ClassVar[str] = "item_graph"
    graph: Neighbours
    settings: Settings

    @classmethod
    def fit(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Build the graph from a dataset."""
        embedding = embed(dataset.catalog, settings.content_dimensions, seed=seed)
        return cls(build_graph(dataset, embedding, settings, now_ms=now_ms), settings)

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Add what the items of each history say, by their share of its weight."""
        blend = self.settings.blend
        newest = histories.take(np.arange(len(histories)), max_recent=blend.max_recent)
        weights = share_of_weight(newest.weights(blend, len(self.graph)))
        scores: NDArray[np.float32] = (weights @ self.graph.to_csr(len(self.graph))).toarray()
        return scores

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name the three arrays."""
        graph = self.graph
        return {"offsets": graph.offsets, "rows": graph.rows, "weights": graph.weights}

    @classmethod
    def from_arrays(cls, arrays: Arrays, settings: Settings) -> Self:
        """Open the three arrays."""
        return cls(Neighbours(**arrays), settings)  # type: ignore[arg-type]  # as to_arrays wrote them


def build_graph(
    dataset: Dataset, embedding: NDArray[np.float32], settings: Settings, *, now_ms: int
) -> Neighbours:
    """Merge the three voices, at most ``settings.graph_k`` neighbours per item."""
    histories = Histories.of(dataset.interactions, dataset.n_users, now_ms).take(
        np.arange(dataset.n_users), max_recent=settings.max_basket
    )
    n_items = dataset.n_items
    together = user_items(histories, n_items)
    followed = normalise(transitions(histories, n_items))
    is_cold = np.asarray(together.sum(axis=0)).ravel() == 0
    alike = together.T.tocsr()

    def merged(rows: slice) -> NDArray[np.float32]:
        block = np.asarray((alike[rows] @ together).toarray(), dtype=np.float32)
        block += settings.transition_weight * followed[rows].toarray()
        if embedding.shape[1]:
            block += settings.content_weight * np.maximum(
                exact_cosines(embedding[rows], embedding), 0.0
            )
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = 0.0
        return np.asarray(block, dtype=np.float32)

    k = max(settings.graph_k - settings.new_items, 1)
    graph = top_k_rows(n_items, n_items, merged, k)
    graph = graph.maximum(_new_items(embedding, is_cold, settings))
    largest = graph.max(axis=1).toarray().ravel()
    return Neighbours.from_csr(_scale_rows(graph, largest), settings.graph_k)


def user_items(histories: Histories, n_items: int) -> csr_matrix:
    """Mark what each user had to do with, columns and rows scaled so that B.T @ B is a cosine.

    Users with long histories say less about each pair: a row is divided by the square root of its
    length, as in Deshpande and Karypis (2004). doi:10.1145/963770.963776
    """
    lengths = np.diff(histories.items.offsets)
    values = np.repeat(1.0 / np.sqrt(np.maximum(lengths, 1)), lengths)
    matrix = csr_matrix(
        (values, histories.items.rows, histories.items.offsets), shape=(len(histories), n_items)
    )
    return normalise_columns(matrix)


def normalise_columns(matrix: csr_matrix) -> csr_matrix:
    """Scale columns to unit length; an empty one stays empty."""
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel())
    return (matrix @ diags(1.0 / np.maximum(norms, 1e-12))).tocsr().astype(np.float32)


def transitions(histories: Histories, n_items: int) -> csr_matrix:
    """Count how often an item came after another in a history, one step 1, two steps 1/2, ..."""
    owners = np.repeat(np.arange(len(histories)), np.diff(histories.items.offsets))
    rows = histories.items.rows
    total = csr_matrix((n_items, n_items), dtype=np.float64)
    for step in range(1, MAX_STEPS + 1):
        same = owners[:-step] == owners[step:]
        # In one order everything has one moment: then neither came first.
        later = same & (histories.at_ms[:-step] < histories.at_ms[step:])
        ones = np.full(int(later.sum()), 1.0 / step)
        pairs = (rows[:-step][later], rows[step:][later])
        total = total + coo_matrix((ones, pairs), shape=total.shape).tocsr()
    return total


def normalise(counts: csr_matrix) -> csr_matrix:
    """Divide each count by the square root of both items' totals."""
    out = np.asarray(counts.sum(axis=1)).ravel()
    into = np.asarray(counts.sum(axis=0)).ravel()
    left, right = (diags(1.0 / np.sqrt(np.maximum(total, 1.0))) for total in (out, into))
    return (left @ counts @ right).tocsr().astype(np.float32)


def share_of_weight(weights: csr_matrix) -> csr_matrix:
    """Scale rows to the sum 1; a row of zeros stays."""
    return _scale_rows(weights, np.asarray(weights.sum(axis=1)).ravel())


def _new_items(
    embedding: NDArray[np.float32], is_cold: NDArray[np.bool_], settings: Settings
) -> csr_matrix:
    """List for every item the most similar items that nobody has touched yet."""
    n_items = len(is_cold)
    cold = np.flatnonzero(is_cold)
    if not len(cold) or not embedding.shape[1] or not settings.new_items:
        return csr_matrix((n_items, n_items), dtype=np.float32)

    def similarity(rows: slice) -> NDArray[np.float32]:
        block = settings.content_weight * np.maximum(
            exact_cosines(embedding[rows], embedding[cold]), 0.0
        )
        block[np.arange(rows.start, rows.stop)[:, np.newaxis] == cold] = 0.0
        return np.asarray(block, dtype=np.float32)

    near = top_k_rows(n_items, len(cold), similarity, settings.new_items)
    return csr_matrix((near.data, cold[near.indices], near.indptr), shape=(n_items, n_items))


def _scale_rows(matrix: csr_matrix, totals: NDArray[np.floating]) -> csr_matrix:
    scaled = csr_matrix(matrix, copy=True)
    per_value = np.repeat(np.where(totals > 0, totals, 1.0), np.diff(scaled.indptr))
    scaled.data = (scaled.data / per_value).astype(np.float32)
    return scaled
