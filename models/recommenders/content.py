"""Items by what they are: category path, brand, attributes, title, price band, or a vector."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from models.dataset import Catalog, Dataset
from models.histories import Histories
from models.recommenders.rounding import settle
from models.recommenders.settings import Settings
from models.snapshot import Arrays

CATEGORY_SEPARATOR = ">"

_WORD = re.compile(r"[^\W_]{2,}")
PRICE_WEIGHT = 0.3
"""A price band is shared by hundreds of items: it may break a tie, not make a resemblance."""


@dataclass(frozen=True, slots=True)
class Content:
    """A unit-length embedding of every item; a user likes what resembles the history."""

    name: ClassVar[str] = "content"
    embedding: NDArray[np.float32]
    """(n_items, c), unit length; zero for an item without attributes."""
    settings: Settings

    @classmethod
    def fit(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Embed the catalogue; interactions say nothing here."""
        del now_ms
        return cls(embed(dataset.catalog, settings.content_dimensions, seed=seed), settings)

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Average the cosine similarity to the items of each history."""
        shares = histories.shares(self.settings.blend, len(self.embedding))
        users: NDArray[np.float32] = shares @ self.embedding
        return users @ self.embedding.T

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name the one array."""
        return {"embedding": self.embedding}

    @classmethod
    def from_arrays(cls, arrays: Arrays, settings: Settings) -> Self:
        """Open the one array."""
        return cls(arrays["embedding"], settings)  # type: ignore[arg-type]  # dtype as to_arrays wrote it


def embed(catalog: Catalog, dimensions: int, *, seed: int) -> NDArray[np.float32]:
    """Reduce TF-IDF of the items' tokens by truncated SVD; ready-made vectors are kept."""
    if catalog.vectors is not None:
        return settle(unit_rows(catalog.vectors))
    tokens = tf_idf(catalog)
    if tokens.nnz == 0:
        return np.zeros((tokens.shape[0], 0), dtype=np.float32)
    d = min(dimensions, min(tokens.shape) - 1)
    if d < 1:
        return settle(unit_rows(tokens.toarray()))
    # A start vector of our own: the default one is drawn anew in every process.
    start = np.random.default_rng(seed).standard_normal(min(tokens.shape))
    left, singular, _ = svds(tokens.astype(np.float64), k=d, v0=start)
    order = np.argsort(-singular, kind="stable")
    embedding = left[:, order] * singular[order]
    # The sign of a singular vector is arbitrary: the largest entry is made positive.
    largest = embedding[np.abs(embedding).argmax(axis=0), np.arange(d)]
    embedding *= np.where(largest < 0, -1.0, 1.0)
    embedding[np.diff(tokens.indptr) == 0] = 0.0
    return settle(unit_rows(embedding))


def tf_idf(catalog: Catalog) -> csr_matrix:
    """Weigh each item's tokens by rarity, rows of unit length, float32 (n_items, n_tokens)."""
    numbers: dict[str, int] = {}
    rows, columns = [], []
    for item in range(len(catalog.titles)):
        for token in tokens_of(catalog, item):
            rows.append(item)
            columns.append(numbers.setdefault(token, len(numbers)))
    counts = csr_matrix(
        (np.ones(len(rows), dtype=np.float32), (rows, columns)),
        shape=(len(catalog.titles), len(numbers)),
    )
    n_items_with = np.bincount(counts.indices, minlength=len(numbers))
    # A token that only one item has tells of no resemblance.
    useful = n_items_with > 1
    weights = np.where(useful, np.log((1 + counts.shape[0]) / (1 + n_items_with)) + 1.0, 0.0)
    weights *= [PRICE_WEIGHT if token.startswith("price:") else 1.0 for token in numbers]
    weighed = counts.multiply(weights[np.newaxis, :]).tocsr().astype(np.float32)
    weighed.eliminate_zeros()
    norms = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    weighed.data /= np.repeat(np.maximum(norms, 1e-12), np.diff(weighed.indptr)).astype(np.float32)
    return weighed


def tokens_of(catalog: Catalog, item: int) -> Iterator[str]:
    """List an item's tokens, each with its kind so that a brand is no title word."""
    category = catalog.categories[item]
    if category:
        path = [part.strip() for part in category.split(CATEGORY_SEPARATOR)]
        for depth in range(1, len(path) + 1):
            yield "category:" + ">".join(path[:depth])
    brand = catalog.brands[item]
    if brand:
        yield f"brand:{brand}"
    for attribute in sorted(set(catalog.attributes[item])):
        yield f"attribute:{attribute}"
    title = catalog.titles[item]
    if title:
        for word in sorted(set(_WORD.findall(title.casefold()))):
            yield f"word:{word}"
    band = _price_band(catalog, item)
    if band is not None:
        yield f"price:{band}"


def description_of(catalog: Catalog, item: int) -> Hashable:
    """Return what an item's tokens follow from: where it is equal, so are they."""
    attributes = tuple(catalog.attributes[item])
    named = (catalog.categories[item], catalog.brands[item], catalog.titles[item])
    return *named, attributes, _price_band(catalog, item)


def _price_band(catalog: Catalog, item: int) -> int | None:
    price = float(catalog.price[item])
    return int(np.floor(np.log2(price))) if price > 0 and np.isfinite(price) else None


def unit_rows(matrix: NDArray[np.generic]) -> NDArray[np.float32]:
    """Scale rows to unit length; a zero row stays zero."""
    wide = np.nan_to_num(matrix.astype(np.float64))
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.where(norms > 1e-12, wide / np.maximum(norms, 1e-12), 0.0).astype(np.float32)
