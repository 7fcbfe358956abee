"""Every recommender behaves; and each does what it alone is for."""

import numpy as np
import pytest

from models.histories import Histories
from models.recommenders.als import Als, fold_in
from models.recommenders.bought_together import bought_together
from models.recommenders.content import Content, tf_idf, tokens_of
from models.recommenders.hybrid import Hybrid
from models.recommenders.item_graph import ItemGraph
from models.recommenders.popularity import Popularity
from models.recommenders.priors import build_priors, growth, rank
from models.recommenders.settings import Settings
from models.recommenders.top_k import keep_top_k
from models.snapshot import category_prior
from tests.unit.models.recommenders.behaviour import (
    SETTINGS,
    PersonalBehaviour,
    RecommenderBehaviour,
    all_histories,
)
from tests.unit.models.small_dataset import NOW_MS, checkerboard, make_dataset


class TestPopularity(RecommenderBehaviour):
    """Popularity."""

    kind = Popularity


class TestAls(PersonalBehaviour):
    """ALS."""

    kind = Als


class TestItemGraph(PersonalBehaviour):
    """The item graph."""

    kind = ItemGraph


class TestContent(RecommenderBehaviour):
    """The content embedding."""

    kind = Content


class TestHybrid(PersonalBehaviour):
    """The hybrid."""

    kind = Hybrid


def test_popularity_decays_with_age() -> None:
    """28 days of 28 count e^-1 beside today's 1: ln(1 + r / mean r), scaled to 1.

    Three users of two moments each, so that the timestamps are a clock's.
    """
    rows = [(0, 0, 72), (0, 1, 100), (1, 0, 72), (1, 1, 100), (2, 0, 72), (2, 1, 100)]
    fitted = Popularity.fit(make_dataset(rows, 3, 2), SETTINGS, now_ms=NOW_MS, seed=1)
    old, new = np.exp(-1.0), 1.0
    mean = (old + new) / 2
    expected = np.log1p(old / mean) / np.log1p(new / mean)
    assert fitted.popularity.tolist() == pytest.approx([expected, 1.0])


def test_fold_in_solves_the_normal_equation() -> None:
    """One item y = 2 with weight 0.1 and alpha 10: c = 2, x = 4 / (4 + 4 + 0.05)."""
    settings = Settings(alpha=10.0, regularization=0.05)
    dataset = make_dataset([(0, 0, 100)], n_users=1, n_items=1)
    weights = Histories.of(dataset.interactions, 1, NOW_MS).weights(settings.blend, 1)
    weights.data[:] = 0.1
    users = fold_in(np.array([[2.0]], dtype=np.float32), weights, settings)
    assert users[0, 0] == pytest.approx(4.0 / 8.05)


def test_als_gives_untouched_items_no_factor() -> None:
    """An item that nobody touched has a zero factor, not the random start."""
    dataset = make_dataset([(0, 0, 90), (1, 0, 90), (1, 1, 90)], n_users=2, n_items=3)
    fitted = Als.fit(dataset, SETTINGS, now_ms=NOW_MS, seed=1)
    assert not fitted.factors[2].any()


def test_item_graph_knows_direction() -> None:
    """If everybody buys the cover after the phone, the phone speaks louder for the cover."""
    rows = [(user, item, 50 + 2 * item + user) for user in range(4) for item in range(2)]
    rows += [(user, 2, 40 + user) for user in range(4)]
    graph = ItemGraph.fit(make_dataset(rows, 4, 3), SETTINGS, now_ms=NOW_MS, seed=1).graph
    matrix = graph.to_csr(3).toarray()
    assert matrix[0, 1] > matrix[1, 0] > 0
    assert matrix[0, 2] < matrix[2, 0]


def test_content_tokens_tell_their_kind() -> None:
    """Title words, the category at every depth; a word that only one item has says nothing."""
    dataset = make_dataset(
        [], 0, 2, titles=["Köpek-Mug 3", "Mug"], categories=["Home > Kitchen", None]
    )
    assert list(tokens_of(dataset.catalog, 0)) == [
        "category:Home",
        "category:Home>Kitchen",
        "word:köpek",
        "word:mug",
    ]
    weights = tf_idf(dataset.catalog)
    assert weights.sum(axis=1).ravel().tolist() == [[1.0, 1.0]]


def test_hybrid_scores_are_the_sum_of_its_parts() -> None:
    """Graph, factors and popularity add up as `models.scoring` says."""
    dataset = checkerboard()
    fitted = Hybrid.fit(dataset, SETTINGS, now_ms=NOW_MS, seed=1)
    histories = all_histories(dataset).take(np.array([3]))
    blend = fitted.blend
    weights = histories.weights(blend, 16).toarray()[0]
    weights /= weights.sum()
    assert not fitted.is_new.any()
    expected = weights @ fitted.graph.to_csr(16).toarray()
    expected = expected + blend.factor_weight * (weights @ fitted.fold_in) @ fitted.factors.T
    expected = expected + blend.popularity_weight * fitted.popularity
    np.testing.assert_allclose(fitted.score(histories)[0], expected, atol=1e-5)


def test_bought_together_needs_support_and_lift() -> None:
    """Pairs of three baskets with a lift above 1 count: lift 2 · 3 / (3 + 10) of six baskets."""
    rows = [(user, item, 90) for user in range(3) for item in (0, 1)]
    rows += [(user, 2, 80) for user in range(3, 5)] + [(5, 3, 80)]
    pairs = bought_together(make_dataset(rows, 6, 4), k=5)
    assert [pairs[item][0].tolist() for item in range(4)] == [[1], [0], [], []]
    assert pairs[0][1][0] == pytest.approx(2.0 * 3 / 13)


def test_growth_ignores_what_always_sells() -> None:
    """A bestseller with its usual share scores 0, a riser above, a faller below."""
    found = growth(np.array([100.0, 9.0, 1.0]), np.array([1000.0, 50.0, 50.0]))
    assert found[0] == pytest.approx(0.0)
    assert found[1] == pytest.approx(4.0 / np.sqrt(6.0))
    assert found[2] < 0


def test_priors_hold_categories_with_their_branches() -> None:
    """A category's list holds the items of its branches, new ones last."""
    rows = [(user, 0, 90) for user in range(3)]
    categories = ["Home > Kitchen", "Home > Garden", "Toys"]
    dataset = make_dataset(rows, 3, 3, categories=categories)
    popularity = np.array([1.0, 0.0, 0.0], dtype=np.float32)
    priors = build_priors(dataset, popularity, SETTINGS.blend, now_ms=NOW_MS)
    home = priors.get(category_prior("Home"))
    assert home is not None
    assert home[0].tolist() == [0, 1]
    assert priors.get("popular") is not None
    assert priors.get("country:GB") is None


def test_rank_is_stable_and_positive() -> None:
    """Ties go by row; items without a score are not listed."""
    rows, scores = rank(np.array([1.0, 3.0, 0.0, 3.0]), k=3)
    assert rows.tolist() == [1, 3, 0]
    assert scores.tolist() == [3.0, 3.0, 1.0]


def test_keep_top_k_cuts_ties_from_the_right() -> None:
    """Of equal values the left ones stay; zeros and negatives never do."""
    kept = keep_top_k(np.array([[2, 2, 2, 1], [0, -1, 0, 5]], dtype=np.float32), 2)
    assert kept.toarray().tolist() == [[2, 2, 0, 0], [0, 0, 0, 5]]
