"""The simulated log: ordered, bounded in time, moved by tastes, dirty by its share."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from models.errors import ConfigError
from models.events import InteractionKind
from training.simulation.config import MS_PER_DAY, WorldConfig
from training.simulation.files import WorldFiles
from training.simulation.history import best_sellers, interactions_frame, make_history
from training.simulation.world import World, make_world


def test_history_is_equal_for_equal_worlds(small_world: World) -> None:
    """The log of a world, dirt included, is the same each time it is drawn."""
    first = interactions_frame(small_world, make_history(small_world))
    again = interactions_frame(small_world, make_history(make_world(small_world.config)))
    assert first.equals(again)


def test_history_stays_within_its_days_and_in_order(small_world: World) -> None:
    """No interaction lies outside the days of the world, and time never goes back."""
    history, config = make_history(small_world), small_world.config
    assert len(history) == config.n_interactions
    assert history.at_ms.min() >= config.now_ms - (config.days + 1) * MS_PER_DAY
    assert history.at_ms.max() < config.now_ms
    assert (np.diff(history.at_ms) >= 0).all()


def test_history_knows_neither_cold_items_nor_newcomers(small_world: World) -> None:
    """An item of the last day and a shopper never seen have no interaction; others have some."""
    history = make_history(small_world)
    cold = np.flatnonzero(small_world.shop.is_cold(small_world.config.now_ms))
    newcomers = np.flatnonzero(small_world.shoppers.is_newcomer)
    assert len(cold) > 0
    assert len(newcomers) > 0
    assert not np.isin(history.item_rows, cold).any()
    assert not np.isin(history.shopper_rows, newcomers).any()


def test_history_never_shows_an_item_before_it_arrived(small_world: World) -> None:
    """Every interaction is later than the arrival of its item."""
    history = make_history(small_world)
    assert (history.at_ms > small_world.shop.created_at_ms[history.item_rows]).all()


def test_history_is_moved_by_tastes(small_world: World) -> None:
    """What a shopper looked at is worth more to them than what others looked at."""
    history = make_history(small_world)
    views = history.kinds == InteractionKind.VIEW
    users, items = history.shopper_rows[views], history.item_rows[views]
    swapped = np.random.default_rng(0).permutation(users)
    gain = small_world.utility(users, items).mean() - small_world.utility(swapped, items).mean()
    assert gain > 0.5


def test_history_puts_the_purchases_of_a_visit_into_one_order(small_world: World) -> None:
    """An order has one session, one shopper and a price on every line; only orders have prices."""
    log = interactions_frame(small_world, make_history(small_world)).filter(
        pl.col("event").is_in(["purchase", "refund"]) & pl.col("user_id").is_not_null()
    )
    per_order = log.group_by("order_id").agg(pl.col("user_id", "session_id").n_unique())
    assert per_order["user_id"].max() == 1
    assert per_order["session_id"].max() == 1
    assert (log["price"] > 0).all()


def test_history_buys_companions_together() -> None:
    """Two leaves that go together share far more orders than they would by chance."""
    world = make_world(WorldConfig(now_ms=1_767_225_600_000, n_items=300, n_shoppers=500, seed=5))
    history = make_history(world)
    bought = history.kinds == InteractionKind.PURCHASE
    leaves = world.shop.leaf_rows[history.item_rows[bought]]
    baskets = np.zeros((int(history.visit.max()) + 1, len(world.shop.leaves)), dtype=bool)
    baskets[history.visit[bought], leaves] = True
    together = baskets.T.astype(int) @ baskets.astype(int)
    own = np.arange(len(together))
    companions = together[own, world.shop.goes_with].mean()
    np.fill_diagonal(together, 0)
    assert companions > 5 * together.mean()


def test_history_is_dirty_by_its_share(small_world: World) -> None:
    """A share of 1 % of broken rows adds exactly that many, and without it the log is clean."""
    world = make_world(msgspec.structs.replace(small_world.config, dirty_share=0.01))
    history = make_history(world)
    log = interactions_frame(world, history)
    events = [kind.event for kind in InteractionKind]
    broken = log.filter(
        pl.col("user_id").is_null()
        | (pl.col("item_id") == "")
        | ~pl.col("event").is_in(events)
        | pl.col("timestamp").is_null()
    )
    assert len(broken) == round(0.01 * len(history)) == len(log) - len(history)


def test_best_sellers_are_available_and_sell_most(small_world: World) -> None:
    """The merchandiser's list holds distinct, available items by falling sales."""
    history = make_history(small_world)
    listed = best_sellers(small_world, history, 8)
    rows = [small_world.shop.item_ids.index(item_id) for item_id in listed]
    sold = np.bincount(
        history.item_rows[history.kinds == InteractionKind.PURCHASE],
        minlength=len(small_world.shop),
    )
    assert len(set(listed)) == 8
    assert small_world.shop.available[rows].all()
    assert (np.diff(sold[rows]) <= 0).all()


def test_world_files_give_the_world_back(small_world: World, tmp_path: Path) -> None:
    """A world written to a folder and read again is the same world."""
    files = WorldFiles(tmp_path / "world")
    assert not files.exists()
    _, written = files.write(small_world.config)
    world, facts = files.read()
    assert files.exists()
    assert facts == written
    assert world.shop.frame().equals(pl.read_parquet(files.catalog))
    assert len(pl.read_parquet(files.interactions)) == facts.n_rows


def test_world_files_refuse_a_foreign_world(tmp_path: Path) -> None:
    """A ``world.json`` of another form names the file and what to do."""
    (tmp_path / "world.json").write_text('{"n_rows": "many"}')
    with pytest.raises(ConfigError, match=r"world\.json.*choose another --home"):
        WorldFiles(tmp_path).read()
