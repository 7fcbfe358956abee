"""Segments follow their rules, worked out by hand on a few customers."""

from dataclasses import replace

import numpy as np
import pytest

from models.dataset import Dataset
from models.histories import Histories
from models.manifest import Blend
from models.recommenders.priors import build_priors
from models.scoring import MS_PER_DAY
from models.snapshot import segment_prior
from models.vocabulary import Vocabulary
from tests.unit.models.small_dataset import NOW_MS, Row, make_dataset
from training.orders import Buying, collect_orders, measure_buying
from training.segment_tables import add_segment_priors, summarise
from training.segments import (
    category_key,
    churn_risk,
    favourite_categories,
    find_segments,
    frequencies,
    price_bands,
    price_sensitivity,
    recencies,
    value_tiers,
)

NAN = float("nan")


def priced(dataset: Dataset, prices: list[float], listed: list[float] | None = None) -> Dataset:
    """Give the rows of a dataset their prices, and its items their list prices."""
    rows = replace(dataset.interactions, price=np.array(prices, dtype=np.float32))
    catalog = dataset.catalog
    if listed is not None:
        catalog = replace(catalog, price=np.array(listed, dtype=np.float32))
    return replace(dataset, interactions=rows, catalog=catalog)


def buying(n_orders: list[int], values: list[float]) -> Buying:
    """Make what value tiers read; every order has one unit."""
    n = len(n_orders)
    return Buying(
        n_orders=np.array(n_orders),
        mean_units=np.where(np.array(n_orders) > 0, 1.0, NAN),
        mean_value=np.array(values),
        last_order_ms=np.zeros(n, dtype=np.int64),
        mean_gap_days=np.full(n, NAN),
    )


def members(masks: dict[str, np.ndarray]) -> dict[str, list[int]]:
    """List the users of each segment that has any."""
    return {key: np.flatnonzero(mask).tolist() for key, mask in masks.items() if mask.any()}


def test_orders_are_put_together_by_user_and_day() -> None:
    """Two lines of one day are one order: 2 units, 3 + 4 in value; gap of 10 and 20 days is 15."""
    rows = [(0, 0, 10), (0, 1, 10), (0, 0, 20), (0, 0, 40)]
    dataset = priced(make_dataset(rows, n_users=2, n_items=2), [3, 4, 3, 5])
    orders = collect_orders(dataset)
    assert sorted(zip(orders.units.tolist(), orders.value.tolist(), strict=True)) == [
        (1.0, 3.0),
        (1.0, 5.0),
        (2.0, 7.0),
    ]
    found = measure_buying(orders, n_users=2)
    assert found.n_orders.tolist() == [3, 0]
    assert found.mean_value[0] == 5.0
    assert found.mean_gap_days[0] == 15.0
    assert np.isnan(found.mean_value[1])


def test_order_with_an_unpriced_line_has_no_value() -> None:
    """Half a value would be a wrong value."""
    dataset = priced(make_dataset([(0, 0, 1), (0, 1, 1)], 1, 2), [3, NAN])
    assert np.isnan(collect_orders(dataset).value[0])


def test_value_tiers_by_orders_and_size() -> None:
    """Orders 1 1 1 1 5: rare is 1. Sizes 10 20 30 100 40: middle 30, upper fifth from 52."""
    found = members(value_tiers(buying([1, 1, 1, 1, 5, 0], [10, 20, 30, 100, 40, NAN])))
    assert found == {
        "value:few_but_large": [3],
        "value:regular": [4],
        "value:small_and_rare": [0, 1, 2],
    }


def test_value_tiers_without_prices_compare_units() -> None:
    """Equal sizes: nobody is large, the rare ones are small."""
    found = members(value_tiers(buying([1, 1, 2], [NAN, NAN, NAN])))
    assert found == {"value:regular": [2], "value:small_and_rare": [0, 1]}


def test_frequency_counts_orders() -> None:
    """Orders 1 1 2 3 9: the upper fifth begins at 4.2, which is above three."""
    found = members(frequencies(buying([1, 1, 2, 3, 9], [1.0] * 5)))
    assert found == {
        "frequency:frequent": [4],
        "frequency:repeat": [2, 3],
        "frequency:once": [0, 1],
    }


def test_recency_counts_days_since_the_newest_interaction() -> None:
    """On day 100, days 93, 70, 9 and 8 are 7, 30, 91 and 92 days ago."""
    dataset = make_dataset([(0, 0, 93), (0, 0, 1), (1, 0, 70), (2, 0, 9), (3, 0, 8)], 5, 1)
    assert members(recencies(dataset, NOW_MS)) == {
        "recency:week": [0],
        "recency:month": [1],
        "recency:quarter": [2],
        "recency:older": [3],
    }


@pytest.mark.parametrize(
    ("silent_days", "segment"),
    [(10, "churn:in_rhythm"), (23, "churn:in_rhythm"), (24, "churn:at_risk"), (47, "churn:lapsed")],
)
def test_churn_follows_the_own_rhythm(silent_days: int, segment: str) -> None:
    """With a gap of 10 days, 10·ln 10 = 23.03 days are a risk and 10·ln 100 = 46.05 a loss."""
    last = 100 - silent_days
    dataset = make_dataset([(0, 0, last - 20), (0, 0, last - 10), (0, 0, last)], 1, 1)
    found = churn_risk(measure_buying(collect_orders(dataset), 1), NOW_MS)
    assert members(found) == {segment: [0]}


def test_churn_needs_a_rhythm() -> None:
    """Two orders are no rhythm, and neither is a customer without any."""
    dataset = make_dataset([(0, 0, 1), (0, 0, 2)], 2, 1)
    assert members(churn_risk(measure_buying(collect_orders(dataset), 2), NOW_MS)) == {}


def test_price_bands_are_thirds_of_the_shop() -> None:
    """Prices 1 1 1 5 5 5 9 9 9: thirds end at 3.67 and 6.33; user 3 bought too little to say."""
    rows: list[Row] = [(user, 0, 3 * user + line) for user in range(3) for line in range(3)]
    dataset = priced(make_dataset([*rows, (3, 0, 50)], 4, 1), [1, 1, 1, 5, 5, 5, 9, 9, 9, NAN])
    assert members(price_bands(dataset)) == {"band:high": [2], "band:middle": [1], "band:low": [0]}


def test_price_sensitivity_is_the_share_bought_discounted() -> None:
    """Listed at 10: 9.4 is a discount, 9.6 is none; without a list price nothing is known."""
    rows: list[Row] = [(user, user // 2, 4 * user + line) for user in range(3) for line in range(4)]
    prices = [9.4, 9.4, 10, 10] + [9.6] * 4 + [1] * 4
    dataset = priced(make_dataset(rows, 3, 2), prices, [10, NAN])
    assert members(price_sensitivity(dataset)) == {
        "price:bargain_hunter": [0],
        "price:full_price": [1],
    }


def test_favourite_category_is_the_deepest_with_more_than_half() -> None:
    """Mugs for those with 2 of 3 there; Home where mugs and pans hold half each."""
    categories = ["Home > Mugs", "Home > Pans", "Garden"]
    mugs = [(user, item, 1) for user in range(5) for item in (0, 0, 2)]
    home = [(user, item, 1) for user in range(5, 10) for item in (0, 1, 0, 1)]
    dataset = make_dataset([*mugs, *home, (10, 2, 1)], 11, 3, categories=categories)
    assert members(favourite_categories(dataset)) == {
        "category:home": [5, 6, 7, 8, 9],
        "category:home.mugs": [0, 1, 2, 3, 4],
    }


def test_category_keys_fit_and_differ() -> None:
    """A key of a foreign script ends in a hash; a long one is cut."""
    assert category_key(["Home & Garden", "Mugs"]) == "category:home-garden.mugs"
    assert category_key(["قهوة"]) != category_key(["شاي"])
    assert len(category_key(["x" * 300])) <= 64


def test_users_are_in_several_segments_by_priority() -> None:
    """The keys stand in the order of priority and a user's rows ascend."""
    dataset = make_dataset([(0, 0, 70), (0, 0, 80), (0, 0, 90)], 2, 1)
    found = find_segments(dataset, NOW_MS)
    assert found.keys.ids(found.members[0]) == [
        "churn:in_rhythm",
        "value:small_and_rare",
        "frequency:frequent",
        "recency:month",
    ]
    assert list(found.members[1]) == []


def test_summary_of_a_segment() -> None:
    """User 0: orders of 10 and 20 in 60 days are one a month; user 1 has one of 30 on the web."""
    dataset = priced(make_dataset([(0, 0, 10), (0, 0, 70), (1, 0, 40)], 2, 1), [10, 30, 20])
    rows = replace(dataset.interactions, channel_rows=np.array([0, 1, -1], dtype=np.int32))
    dataset = replace(dataset, interactions=rows, channels=Vocabulary.from_ids(["app", "web"]))
    found = summarise(dataset, find_segments(dataset, NOW_MS))
    once = found["frequency:once"]
    assert (once.users, once.orders, once.average_order_value) == (1, 1, 30.0)
    assert once.channel_share == {"web": 1.0}
    repeat = found["frequency:repeat"]
    assert repeat.average_order_value == 15.0
    assert repeat.orders_per_month == 1.0
    assert repeat.items_per_order == 1.0
    assert repeat.channel_share == {"app": 1.0}


def test_segment_priors_rank_what_the_segment_chose() -> None:
    """Ten users with one order chose item 1; the list of their segment names it alone."""
    once = [(user, 1, 90) for user in range(10)]
    often = [(user, 0, day) for user in range(10, 14) for day in (10, 40, 70)]
    dataset = make_dataset([*once, *often], 14, 2)
    popularity = np.array([1.0, 0.5], dtype=np.float32)
    priors = build_priors(dataset, popularity, Blend(), now_ms=NOW_MS)
    segments = find_segments(dataset, NOW_MS)
    histories = Histories.of(dataset.interactions, dataset.n_users, NOW_MS)
    weights = histories.weights(Blend(), dataset.n_items)
    joined = add_segment_priors(priors, segments, weights)
    found = joined.get(segment_prior("frequency:once"))
    assert found is not None
    assert found[0].tolist() == [1]
    assert joined.get(segment_prior("frequency:frequent")) is None
    for key in priors.keys:
        before, after = priors.get(key), joined.get(key)
        assert before is not None
        assert after is not None
        assert before[0].tolist() == after[0].tolist()


def test_a_shop_without_orders_has_only_recency() -> None:
    """Nothing is made up where nothing is known."""
    dataset = make_dataset([], 1, 1)
    assert list(find_segments(dataset, int(MS_PER_DAY)).keys) == []
