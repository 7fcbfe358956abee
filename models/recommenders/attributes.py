"""Items by their attributes as sparse rows: what a mapping from attributes is learnt on."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, hstack

from models.dataset import Catalog
from models.recommenders.alike import Alike, most_alike, sparse_rows
from models.recommenders.content import PRICE_WEIGHT, description_of, tokens_of, unit_rows

MAX_PAIRED_TOKENS = 16
"""An item with more is described by these, the rarest, when tokens are paired."""
PAIR_WEIGHT = 0.5


def token_rows(catalog: Catalog, is_warm: NDArray[np.bool_], *, max_features: int) -> csr_matrix:
    """Weigh each item's tokens by rarity, unit rows, float32 (n_items, n_features).

    Only tokens of at least two warm items count, the most frequent `max_features` of them. A
    ready-made vector stands beside them with the same weight.
    """
    alike = _described(catalog)
    tokens = [list(tokens_of(catalog, item)) for item in alike.firsts.tolist()]
    n_warm = np.bincount(alike.kinds[is_warm], minlength=len(tokens))
    rows = _weighed(tokens, n_warm, max_features, idf_exponent=1.0)[alike.kinds]
    if catalog.vectors is not None:
        rows = hstack([rows, csr_matrix(unit_rows(catalog.vectors))], format="csr")
    return _unit(rows)


def pair_rows(catalog: Catalog, is_warm: NDArray[np.bool_], *, max_features: int) -> csr_matrix:
    """As `token_rows` with pairs of tokens of one item too, rarity to the power of a half."""
    alike = _described(catalog)
    tokens = [sorted(set(tokens_of(catalog, item))) for item in alike.firsts.tolist()]
    n_warm = np.bincount(alike.kinds[is_warm], minlength=len(tokens))
    n_with = _count(tokens, n_warm)
    both = []
    for own in tokens:
        chosen = sorted((token for token in own if n_with[token] > 1), key=lambda t: (n_with[t], t))
        pairs = combinations(sorted(chosen[:MAX_PAIRED_TOKENS]), 2)
        both.append([*own, *(f"{first}\n{second}" for first, second in pairs)])
    rows = _weighed(both, n_warm, max_features, idf_exponent=0.5)[alike.kinds]
    if catalog.vectors is not None:
        rows = hstack([_unit(rows), csr_matrix(unit_rows(catalog.vectors))], format="csr")
    return _unit(rows)


def likeness(rows: csr_matrix, k: int) -> csr_matrix:
    """Return the cosines of each item with the `k` most alike, float32 (n_items, n_items)."""
    if rows.nnz == 0:
        return csr_matrix((rows.shape[0], rows.shape[0]), dtype=np.float32)
    alike = Alike.of(sparse_rows(rows))
    kinds = rows[alike.firsts]
    transposed = kinds.T.tocsr()

    def cosines(block: slice) -> NDArray[np.float32]:
        return np.asarray((kinds[block] @ transposed).toarray(), dtype=np.float32)

    return most_alike(alike, cosines, k)


def _described(catalog: Catalog) -> Alike:
    return Alike.of(description_of(catalog, item) for item in range(len(catalog.titles)))


def _count(tokens: list[list[str]], n_warm: NDArray[np.int64]) -> Counter[str]:
    """Count the warm items with each token; of a description there are `n_warm`."""
    n_with: Counter[str] = Counter()
    for own, n in zip(tokens, n_warm.tolist(), strict=True):
        if n:
            n_with.update(dict.fromkeys(own, n))
    return n_with


def _weighed(
    tokens: list[list[str]], n_warm: NDArray[np.int64], max_features: int, *, idf_exponent: float
) -> csr_matrix:
    """Weigh the tokens of each description; `n_warm` says how many warm items have it."""
    n_with = _count(tokens, n_warm)
    useful = [token for token, n in n_with.items() if n > 1]
    useful.sort(key=lambda token: (-n_with[token], token))
    number = {token: column for column, token in enumerate(useful[:max_features])}
    pairs = [
        (kind, number[token]) for kind, own in enumerate(tokens) for token in own if token in number
    ]
    places = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    shape = (len(tokens), len(number))
    ones = np.ones(len(places), dtype=np.float32)
    marks = csr_matrix((ones, (places[:, 0], places[:, 1])), shape=shape)
    marks.data[:] = 1.0
    n_all = int(n_warm.sum())
    weights = np.array(
        [
            np.log((1 + n_all) / (1 + n_with[token])) ** idf_exponent * _importance(token)
            for token in number
        ]
    )
    return (marks @ diags(weights)).tocsr() if number else marks


def _importance(token: str) -> float:
    if "\n" in token:
        return PAIR_WEIGHT
    return PRICE_WEIGHT if token.startswith("price:") else 1.0


def _unit(rows: csr_matrix) -> csr_matrix:
    norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    scaled = diags(1.0 / np.where(norms > 1e-12, norms, np.inf)) @ rows
    return csr_matrix(scaled, dtype=np.float32)
