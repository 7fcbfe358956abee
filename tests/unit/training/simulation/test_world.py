"""The simulated world: equal by seed, driven by tastes, with a position bias one can find again."""

import msgspec
import numpy as np
import pytest

from training.simulation.config import MS_PER_DAY, WorldConfig
from training.simulation.departments import LEAVES, STYLES
from training.simulation.world import World, examination, make_world

NOW_MS = 1_767_225_600_000


def test_world_is_equal_for_equal_configurations(small_world: World) -> None:
    """Two worlds of one configuration are the same in every item, price and taste."""
    again = make_world(small_world.config)
    assert again.shop.frame().equals(small_world.shop.frame())
    assert np.array_equal(again.shoppers.leaf_taste, small_world.shoppers.leaf_taste)


def test_world_differs_for_another_seed(small_world: World) -> None:
    """Another seed is another shop."""
    other = make_world(
        msgspec.structs.replace(small_world.config, seed=small_world.config.seed + 1)
    )
    assert not np.array_equal(other.shop.price, small_world.shop.price)


def test_world_parts_do_not_disturb_each_other(small_world: World) -> None:
    """More shoppers change no item."""
    config = msgspec.structs.replace(small_world.config, n_shoppers=300)
    assert make_world(config).shop.frame().equals(small_world.shop.frame())


@pytest.mark.parametrize(("n_items", "n_shoppers"), [(12, 10), (60, 200), (3_000, 50)])
def test_world_of_any_size_has_what_a_shop_needs(n_items: int, n_shoppers: int) -> None:
    """Items have positive prices and distinct ids; newcomers and known shoppers both exist."""
    world = make_world(WorldConfig(now_ms=NOW_MS, n_items=n_items, n_shoppers=n_shoppers, seed=3))
    shop = world.shop
    assert len(set(shop.item_ids)) == n_items
    assert (shop.price > 0).all()
    assert shop.created_at_ms.max() < NOW_MS
    assert set(shop.leaf_rows.tolist()) == set(range(len(shop.leaves)))
    assert not world.shoppers.is_newcomer.all()


def test_world_has_cold_items_by_its_share() -> None:
    """A share of 0.02 of 2,000 items are the 40 that came within the last day."""
    world = make_world(WorldConfig(now_ms=NOW_MS, n_shoppers=10))
    assert int(world.shop.is_cold(NOW_MS).sum()) == 40
    assert (world.shop.created_at_ms > NOW_MS - MS_PER_DAY).sum() == 40


def test_departments_name_companions_that_exist() -> None:
    """Every leaf goes with a leaf of the tree, and never with itself."""
    names = {leaf.path.rsplit(" > ", 1)[1] for leaf in LEAVES}
    assert len(names) == len(LEAVES)
    for leaf in LEAVES:
        assert leaf.goes_with in names
        assert not leaf.path.endswith(leaf.goes_with)
    assert len({style for style, _ in STYLES}) == len(STYLES)


def test_examination_falls_by_a_power_of_the_position() -> None:
    """With η = 1 position 2 is looked at half as often as position 1, position 4 a quarter."""
    assert examination([1, 2, 4], 1.0).tolist() == [1.0, 0.5, 0.25]
    assert examination([1, 2, 4], 0.0).tolist() == [1.0, 1.0, 1.0]


def test_click_probability_is_examination_times_sigmoid_of_utility(small_world: World) -> None:
    """The truth about a slate is the product written in the module, item by item."""
    utility = small_world.utility(5, [3, 1])
    expected = [
        1.0 / (1.0 + np.exp(-float(utility[0]))),
        2.0**-small_world.config.position_bias / (1.0 + np.exp(-float(utility[1]))),
    ]
    assert small_world.click_probability(5, [3, 1]) == pytest.approx(expected)


def test_utility_rises_with_intent_for_its_leaf_and_its_companion(small_world: World) -> None:
    """On a visit about a leaf, its items gain more than its companion's, and others nothing."""
    shop = small_world.shop
    items = np.arange(len(shop))
    gain = small_world.utility(0, items, 1) - small_world.utility(0, items)
    own, companion = shop.leaf_rows == 1, shop.leaf_rows == shop.goes_with[1]
    assert gain[own].min() > gain[companion].max() > 0
    assert np.abs(gain[~own & ~companion]).max() < 1e-5


def test_position_bias_is_found_again_by_regression(small_world: World) -> None:
    """From clicks drawn on shuffled slates, the slope of log click rate over log position is −η."""
    rng = np.random.default_rng(0)
    n_positions, n_slates = 6, 60_000
    users = rng.integers(len(small_world.shoppers), size=(n_slates, 1))
    items = rng.integers(len(small_world.shop), size=(n_slates, n_positions))
    liking = 1.0 / (1.0 + np.exp(-(small_world.utility(users, items) + 4.0)))
    positions = np.arange(1, n_positions + 1)
    clicks = rng.random(liking.shape) < examination(positions, 0.7) * liking
    slope = np.polyfit(np.log(positions), np.log(clicks.mean(axis=0)), 1)[0]
    assert slope == pytest.approx(-0.7, abs=0.05)


def test_personal_oracle_earns_more_than_any_one_list(small_world: World) -> None:
    """A list that knows each shopper beats the best list that is the same for all."""
    n_shoppers, items = len(small_world.shoppers), np.arange(len(small_world.shop))
    utility = small_world.utility(np.arange(n_shoppers)[:, None], items[None, :])
    same_for_all = np.argsort(-(1.0 / (1.0 + np.exp(-utility))).mean(axis=0))[:6]
    personal = np.argsort(-utility, axis=1)[:, :6]
    earned_static = [
        small_world.click_probability(u, same_for_all).sum() for u in range(n_shoppers)
    ]
    earned_personal = [
        small_world.click_probability(u, personal[u]).sum() for u in range(n_shoppers)
    ]
    assert np.mean(earned_personal) > 1.3 * np.mean(earned_static)


def test_world_without_tastes_has_no_lift() -> None:
    """With a taste scale of 0, all shoppers want the same and no list is personal."""
    world = make_world(WorldConfig(now_ms=NOW_MS, n_items=30, n_shoppers=20, taste_scale=0.0))
    utility = world.utility(np.arange(20)[:, None], np.arange(30)[None, :], 1)
    assert np.abs(utility - utility[0]).max() < 1e-5
