"""`trending` and `bought_together` on shops whose right answer is worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from models.manifest import Blend
from models.ragged import Neighbours
from models.recommenders.bought_together import basket_items, bought_together
from models.recommenders.priors import build_priors, growth
from models.snapshot import TRENDING, Priors, trending_prior
from models.vocabulary import Vocabulary
from tests.unit.models.small_dataset import NOW_MS, Row, make_dataset


def top(priors: Priors, key: str) -> list[int]:
    """Return the items of a list, or nothing if there is no such list."""
    found = priors.get(key)
    return [] if found is None else found[0].tolist()


def steady(n_per_day: int, first_user: int = 0) -> list[Row]:
    """Let new users buy item 0 at the same pace on days 1 to 100."""
    users = range(first_user, first_user + 100 * n_per_day)
    return [(user, 0, 1 + (user - first_user) // n_per_day) for user in users]


def test_trending_is_growth_and_not_volume() -> None:
    """60 steady sales lose to 6 of today: of 25.6 decayed by 7 days, 2.7 were to be expected.

    Each user counts with the root of its weight, so a day costs 2^(-1/14) and 2^(-1/120): the
    steady item has 19.6 now and 50.9 usually, the new one 6 and 6. Expected are 22.9 and 2.7,
    which is -0.7 and 1.7 standard deviations.
    """
    rows = [(user, 0, 41 + user) for user in range(60)] + [(60 + user, 1, 100) for user in range(6)]
    now, usual = (np.array([(1 - q**60) / (1 - q), 6.0]) for q in (2 ** (-1 / 14), 2 ** (-1 / 120)))
    assert now[0] == pytest.approx(19.6, abs=0.05)
    assert usual[0] == pytest.approx(50.9, abs=0.05)
    assert growth(now, usual).tolist() == pytest.approx([-0.67, 1.71], abs=0.01)
    popularity = np.array([1.0, 0.1], dtype=np.float32)
    priors = build_priors(make_dataset(rows, 66, 2), popularity, Blend(), now_ms=NOW_MS)
    assert top(priors, TRENDING) == [1]
    assert top(priors, "popular") == [0, 1]


def test_trending_is_told_per_country_where_the_data_allows() -> None:
    """The riser of each country leads its own list; ten interactions make no list."""
    of_country: list[list[Row]] = [
        steady(2) + [(1_000 + user, 1, 100) for user in range(20)],
        steady(2, first_user=200) + [(2_000 + user, 2, 100) for user in range(20)],
        [(3_000 + user, 3, 100) for user in range(10)],
    ]
    country_of = {row: country for country, rows in enumerate(of_country) for row in rows}
    dataset = make_dataset(list(country_of), 4_000, 4)
    rows = dataset.interactions
    days = (rows.at_ms // 86_400_000).tolist()
    keys = zip(rows.user_rows.tolist(), rows.item_rows.tolist(), days, strict=True)
    countries = np.array([country_of[key] for key in keys], dtype=np.int32)
    dataset = replace(
        dataset,
        countries=Vocabulary.from_ids(["AE", "GB", "SA"]),
        interactions=replace(rows, country_rows=countries),
    )
    priors = build_priors(dataset, np.ones(4, dtype=np.float32), Blend(), now_ms=NOW_MS)
    assert top(priors, trending_prior("AE")) == [1]
    assert top(priors, trending_prior("GB")) == [2]
    assert top(priors, trending_prior("SA")) == []
    assert set(top(priors, TRENDING)) == {1, 2, 3}


def pairs_of(lists: Neighbours) -> dict[tuple[int, int], float]:
    """Return the weight of every pair."""
    return {
        (item, int(other)): float(weight)
        for item in range(len(lists))
        for other, weight in zip(*lists[item], strict=True)
    }


def test_lift_puts_the_telling_pair_before_the_bestseller() -> None:
    """Ten baskets, 0 in nine of them. 1 and 2 meet in four of four, 0 and 1 in three.

    Lift of (1, 2) is 4 · 10 / (4 · 4) = 2.5, shrunk by 4/14; of (0, 1) it is 3 · 10 / (9 · 4) < 1.
    """
    baskets = [(0, 1, 2)] * 3 + [(1, 2)] + [(0,)] * 6
    rows = [(user, item, 90) for user, basket in enumerate(baskets) for item in basket]
    found = pairs_of(bought_together(make_dataset(rows, 10, 3), k=5))
    assert found == {
        (1, 2): pytest.approx(2.5 * 4 / 14),
        (2, 1): pytest.approx(2.5 * 4 / 14),
    }


def test_two_baskets_are_too_few_to_tell() -> None:
    """A lift of 5 that rests on two baskets is chance."""
    baskets = [(0, 1)] * 2 + [(2,)] * 8
    rows = [(user, item, 90) for user, basket in enumerate(baskets) for item in basket]
    assert pairs_of(bought_together(make_dataset(rows, 10, 3), k=5)) == {}


def test_an_order_id_tells_baskets_of_one_day_apart() -> None:
    """Two orders of a user on a day are two baskets, an order over midnight is one."""
    dataset = make_dataset([(0, 0, 90), (0, 1, 90), (0, 2, 91)], 1, 3)
    assert basket_items(dataset).toarray().tolist() == [[0, 0, 1], [1, 1, 0]]
    orders = replace(dataset.interactions, order_rows=np.array([0, 1, 1], dtype=np.int32))
    numbered = basket_items(replace(dataset, interactions=orders))
    assert numbered.toarray().tolist() == [[1, 0, 0], [0, 1, 1]]
