"""What is worked out once for items that are described alike is what each would get by itself."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.dataset import Catalog
from models.recommenders import attribute_map, attributes
from models.recommenders.alike import Alike, dense_rows, most_alike, sparse_rows
from models.recommenders.attribute_map import AttributeMap
from models.recommenders.attributes import likeness, token_rows
from models.recommenders.content import tokens_of
from models.recommenders.top_k import keep_top_k
from tests.unit.models.small_dataset import make_dataset


def one_by_one(cosines: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Look at the whole row of every item, itself left out."""
    others = cosines.copy()
    np.fill_diagonal(others, 0.0)
    return np.asarray(keep_top_k(others, k).toarray())


def test_descriptions_are_numbered_as_they_come() -> None:
    """Of a, b, a, c, b there are three, first met at 0, 1 and 3."""
    alike = Alike.of("abacb")
    assert alike.kinds.tolist() == [0, 1, 0, 2, 1]
    assert alike.firsts.tolist() == [0, 1, 3]
    assert Alike.of([]).kinds.tolist() == Alike.of([]).firsts.tolist() == []


def test_rows_are_alike_where_all_their_values_are() -> None:
    """A zero is no one, and an empty row is like an empty row only."""
    rows = np.array([[1, 0, 2], [1, 0, 2], [1, 0, 0], [0, 0, 0], [1, 2, 0], [0, 0, 0]], np.float32)
    expected = [0, 0, 1, 2, 3, 2]
    assert Alike.of(dense_rows(rows)).kinds.tolist() == expected
    assert Alike.of(sparse_rows(csr_matrix(rows))).kinds.tolist() == expected


@pytest.mark.parametrize("n_kinds", [1, 3, 40, 400])
@pytest.mark.parametrize("k", [1, 5, 60])
def test_most_alike_are_those_of_each_item_by_itself(n_kinds: int, k: int) -> None:
    """With kinds of hundreds of items and of one, with ties between kinds, and negative cosines."""
    rng = np.random.default_rng(n_kinds + k)
    of_kind = rng.integers(-2, 3, (n_kinds, 3)).astype(np.float32)
    rows = of_kind[rng.integers(0, n_kinds, 400)]
    alike = Alike.of(dense_rows(rows))
    kinds = rows[alike.firsts]
    found = most_alike(alike, lambda block: kinds[block] @ kinds.T, k)
    assert found.has_sorted_indices
    assert np.array_equal(found.toarray(), one_by_one(rows @ rows.T, k))


def test_nothing_is_alike_where_there_are_no_items() -> None:
    """An empty catalogue has no rows."""
    alike = Alike.of([])
    found = most_alike(alike, lambda _: np.empty((0, 0), np.float32), 5)
    assert found.shape == (0, 0)


def _grocer() -> tuple[csr_matrix, AttributeMap | None]:
    """List 300 articles of seven descriptions, of which people know the first twenty."""
    rng = np.random.default_rng(2)
    titles = [f"{'fresh' if item % 2 else 'frozen'} kind{item % 7}" for item in range(300)]
    shop = make_dataset([(0, 0, 90)], 1, 300, titles=titles)
    is_warm = np.arange(300) < 20
    tokens = token_rows(shop.catalog, is_warm, max_features=50)
    graph = csr_matrix(np.where(is_warm & is_warm[:, np.newaxis], rng.random((300, 300)), 0.0))
    shares = csr_matrix(np.where(is_warm, rng.random((4, 300)), 0.0).astype(np.float32))
    graph = graph.astype(np.float32)
    return tokens, AttributeMap.fit(shop.catalog, tokens, graph, shares, is_warm)


def test_likeness_is_that_of_each_item_by_itself() -> None:
    """Of 300 articles each has the ten lowest of its kind, but for itself."""
    tokens, _ = _grocer()
    every = np.asarray((tokens @ tokens.T).toarray(), dtype=np.float32)
    assert np.array_equal(likeness(tokens, 10).toarray(), one_by_one(every, 10))


def test_columns_of_new_items_are_worked_out_once_a_description(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fourteen for 280 new articles; one that people know is left out of its own column."""
    _, mapping = _grocer()
    assert mapping is not None
    worked_out = []

    def keep(values: NDArray[np.float32], k: int) -> csr_matrix:
        worked_out.append(len(values))
        return keep_top_k(values, k)

    monkeypatch.setattr(attribute_map, "keep_top_k", keep)
    items = np.arange(10, 300)
    found = mapping.columns(items, 6)
    assert sum(worked_out) == 10 + 14
    alone = [mapping.columns(np.array([item]), 6).toarray()[0] for item in items]
    assert np.array_equal(found.toarray(), np.stack(alone))
    assert not replace(mapping, warm=mapping.warm).columns(items[:0], 6).nnz


def test_tokens_are_read_once_a_description(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of six lamps of two descriptions, two; a price of another band makes another description."""
    asked: list[int] = []

    def read(catalog: Catalog, item: int) -> Iterator[str]:
        asked.append(item)
        return tokens_of(catalog, item)

    monkeypatch.setattr(attributes, "tokens_of", read)
    titles = ["red lamp", "blue lamp", "red lamp", "red lamp", "blue lamp", "red lamp"]
    shop = make_dataset([(0, 0, 90)], 1, 6, titles=titles)
    is_warm = np.array([True, True, True, False, False, False])
    rows = token_rows(shop.catalog, is_warm, max_features=9)
    assert asked == [0, 1]
    # Two of three warm items are red; one is blue, which is too few, and all are lamps.
    assert np.array_equal(np.diff(rows.indptr), [1, 0, 1, 1, 0, 1])
    assert np.array_equal(rows[[0, 0, 0]].toarray(), rows[[2, 3, 5]].toarray())
    shop.catalog.price[:] = [4.0, 4.0, 5.0, 9.0, 7.0, 4.0]
    token_rows(shop.catalog, is_warm, max_features=9)
    assert asked == [0, 1, 0, 1, 3]
