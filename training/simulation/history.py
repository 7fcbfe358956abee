"""The interaction log of the simulated shop before the live visits.

A visit browses shelves: per page view a handful of items stands before the shopper, drawn by reach,
and one of them is chosen by utility and position; baskets follow. All in arrays, no loop per row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.events import InteractionKind
from training.simulation.config import MS_PER_DAY
from training.simulation.world import World, sigmoid

SHELF = 10
"""How many items stand before a shopper per page view."""
_VIEWS_PER_VISIT = 3.0
_ROWS_PER_VIEW = 1.6
"""Rows of all kinds that follow from one view, at least; what is too much at the old end is cut."""
_INTENT_SHARE = 0.85
_CART_EASE = 1.2
"""What utility gains on the item's own page, where it decides about the basket."""
_CHUNK = 250_000
_HOUR_WEIGHTS = np.array(
    [2, 1, 1, 1, 1, 2, 4, 6, 7, 8, 8, 8, 9, 9, 8, 8, 8, 9, 11, 13, 14, 12, 8, 4], dtype=np.float64
)
_MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class History:
    """Interactions ordered by time, all arrays of shape (n,)."""

    shopper_rows: NDArray[np.int32]
    item_rows: NDArray[np.int32]
    kinds: NDArray[np.int8]
    at_ms: NDArray[np.int64]
    visit: NDArray[np.int32]
    """Number of the visit; the purchases of one visit are one order."""

    def __len__(self) -> int:
        return len(self.shopper_rows)


@dataclass(frozen=True, slots=True)
class _Views:
    shopper_rows: NDArray[np.int64]
    intents: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    visit: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.at_ms)


def make_history(world: World) -> History:
    """Draw the log that ends at the world's `now_ms`."""
    rng = world.config.rng("history")
    views = _draw_views(world, rng)
    chosen = np.concatenate(
        [_choose(world, views, slice(i, i + _CHUNK), rng) for i in range(0, len(views), _CHUNK)]
    )
    parts = _follow(world, views, chosen, rng)
    history = History(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    order = np.argsort(history.at_ms, kind="stable")
    end = int(np.searchsorted(history.at_ms[order], world.config.now_ms))
    newest = order[max(0, end - world.config.n_interactions) : end]
    return History(*(getattr(history, name)[newest] for name in History.__slots__))


def best_sellers(world: World, history: History, k: int) -> list[str]:
    """Rank items by pieces sold and return the `k` best: the list a merchandiser would put up."""
    sold = history.item_rows[history.kinds == InteractionKind.PURCHASE]
    counts = np.bincount(sold, minlength=len(world.shop)) * world.shop.available
    return [world.shop.item_ids[row] for row in np.argsort(-counts, kind="stable")[:k]]


def _draw_views(world: World, rng: np.random.Generator) -> _Views:
    config, shoppers = world.config, world.shoppers
    n_visits = max(1, round(config.n_interactions / _ROWS_PER_VIEW / _VIEWS_PER_VISIT))
    known = np.flatnonzero(~shoppers.is_newcomer)
    weights = shoppers.activity[known] / shoppers.activity[known].sum()
    who = rng.choice(known, n_visits, p=weights)
    first = shoppers.first_seen_ms[who]
    # Between the first visit and now, busier towards the end; then to an hour at which people shop.
    begin = first + ((config.now_ms - first) * rng.random(n_visits) ** 0.8).astype(np.int64)
    hour = rng.choice(24, n_visits, p=_HOUR_WEIGHTS / _HOUR_WEIGHTS.sum())
    begin = begin // MS_PER_DAY * MS_PER_DAY + hour * _MS_PER_HOUR
    begin += rng.integers(_MS_PER_HOUR, size=n_visits)
    begin = np.where(begin < first, begin + MS_PER_DAY, begin)
    begin = np.where(begin >= config.now_ms, begin - MS_PER_DAY, begin)
    n_views = rng.geometric(1.0 / _VIEWS_PER_VISIT, n_visits)
    visit = np.repeat(np.arange(n_visits, dtype=np.int32), n_views)
    gaps = rng.integers(15_000, 150_000, size=len(visit))
    ends = np.cumsum(gaps)
    opening = np.repeat(ends[np.cumsum(n_views) - n_views], n_views)
    return _Views(
        shopper_rows=who[visit],
        intents=world.draw_intents(who, rng)[visit],
        at_ms=begin[visit] + (ends - opening),
        visit=visit,
    )


def _choose(
    world: World, views: _Views, part: slice, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Choose one item per view from a shelf of items that existed by then, shape (n_views,)."""
    shoppers, intents = views.shopper_rows[part], views.intents[part]
    n, shop = len(shoppers), world.shop
    strays = rng.random(n) >= _INTENT_SHARE
    leaves = np.where(strays, rng.integers(len(shop.leaves), size=n), intents)
    shelf = _shelf(world, leaves, views.at_ms[part], rng)
    utility = world.utility(shoppers[:, None], shelf, intents[:, None])
    # Gumbel-max: choosing with probability proportional to examination · exp(utility).
    bias = world.config.position_bias * np.log(np.arange(1, SHELF + 1))
    best = np.argmax(utility - bias + rng.gumbel(size=shelf.shape), axis=1)
    return np.asarray(shelf[np.arange(n), best], dtype=np.int32)


def _shelf(
    world: World, leaves: NDArray[np.int64], at_ms: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int32]:
    """Draw `SHELF` items of each leaf by reach, among those a day old by then, shape (n, SHELF)."""
    shop = world.shop
    # One axis for leaf and age: within a leaf, the items that exist at a time are a prefix.
    order = np.lexsort((shop.created_at_ms, shop.leaf_rows))
    reach = np.concatenate([[0.0], np.cumsum(shop.reach[order])])
    n_leaves = len(shop.leaves)
    starts = np.searchsorted(shop.leaf_rows[order], np.arange(n_leaves + 1))
    seen_from = shop.created_at_ms[order] + MS_PER_DAY
    origin = seen_from.min()
    span = max(int(seen_from.max()), int(at_ms.max())) - origin + 1
    key = shop.leaf_rows[order].astype(np.int64) * span + (seen_from - origin)
    ends = np.searchsorted(key, leaves * span + np.maximum(at_ms - origin, 0), side="right")
    ends = np.maximum(ends, starts[leaves] + 1)
    low, high = reach[starts[leaves]], reach[ends]
    points = low[:, None] + rng.random((len(leaves), SHELF)) * (high - low)[:, None]
    slots = np.searchsorted(reach, points, side="right") - 1
    return np.asarray(order[np.minimum(slots, ends[:, None] - 1)], dtype=np.int32)


_Rows = tuple[
    NDArray[np.int32], NDArray[np.int32], NDArray[np.int8], NDArray[np.int64], NDArray[np.int32]
]


def _follow(
    world: World, views: _Views, items: NDArray[np.int32], rng: np.random.Generator
) -> list[_Rows]:
    """Let clicks, baskets, companions, purchases and refunds follow from the views."""
    shop, n = world.shop, len(views)
    liking = sigmoid(world.utility(views.shopper_rows, items, views.intents) + _CART_EASE)
    clicked = rng.random(n) < 0.3
    carted = rng.random(n) < liking
    bought = carted & (rng.random(n) < 0.5)
    joined = bought & (rng.random(n) < 0.35)
    returned = bought & (rng.random(n) < 0.05)

    def rows(
        mask: NDArray[np.bool_],
        kind: InteractionKind,
        delay_ms: int,
        what: NDArray[np.int32] = items,
    ) -> _Rows:
        return (
            views.shopper_rows[mask].astype(np.int32),
            what[mask],
            np.full(int(mask.sum()), kind, dtype=np.int8),
            views.at_ms[mask] + delay_ms,
            views.visit[mask],
        )

    companions = items.copy()
    if joined.any():
        leaves = shop.goes_with[shop.leaf_rows[items[joined]]].astype(np.int64)
        shelf = _shelf(world, leaves, views.at_ms[joined], rng)
        utility = world.utility(views.shopper_rows[joined][:, None], shelf)
        best = np.argmax(utility + rng.gumbel(size=shelf.shape), axis=1)
        companions[joined] = shelf[np.arange(len(best)), best]
    return [
        rows(clicked, InteractionKind.CLICK, -1_500),
        rows(np.ones(n, dtype=np.bool_), InteractionKind.VIEW, 0),
        rows(carted, InteractionKind.ADD_TO_CART, 9_000),
        rows(bought, InteractionKind.PURCHASE, 14_000),
        rows(joined, InteractionKind.PURCHASE, 14_000, companions),
        rows(returned, InteractionKind.REFUND, 6 * MS_PER_DAY),
    ]


def interactions_frame(world: World, history: History) -> pl.DataFrame:
    """Lay the log out as the trainer reads it, with the world's share of broken rows mixed in."""
    shop, shoppers = world.shop, world.shoppers
    users, items = pl.Series(shoppers.user_ids), pl.Series(shop.item_ids)
    is_order = np.isin(history.kinds, (InteractionKind.PURCHASE, InteractionKind.REFUND))
    kinds = pl.Series([kind.event for kind in InteractionKind])
    clean = pl.DataFrame(
        {
            "user_id": users.gather(history.shopper_rows),
            "item_id": items.gather(history.item_rows),
            "event": kinds.gather(history.kinds),
            "timestamp": pl.Series(history.at_ms).cast(pl.Datetime("ms", "UTC")),
            "quantity": np.ones(len(history)),
            "price": shop.price[history.item_rows],
            "visit": history.visit,
            "country": pl.Series(shoppers.countries).gather(history.shopper_rows),
            "platform": pl.Series(shoppers.platforms).gather(history.shopper_rows),
        }
    ).select(
        "user_id",
        "item_id",
        "event",
        "timestamp",
        "quantity",
        pl.when(pl.Series(is_order)).then("price").alias("price"),
        pl.when(pl.Series(is_order)).then(pl.format("o{}", "visit")).alias("order_id"),
        pl.format("s{}", "visit").alias("session_id"),
        "country",
        pl.lit("web").alias("channel"),
        "platform",
    )
    return _mix_in_dirt(world, clean)


def _mix_in_dirt(world: World, clean: pl.DataFrame) -> pl.DataFrame:
    """Add rows broken as real logs are: no user, no item, an event nobody knows, no time."""
    rng = world.config.rng("dirt")
    n = round(world.config.dirty_share * len(clean))
    faults = rng.integers(4, size=n)
    broken = clean[rng.integers(len(clean), size=n)].with_columns(
        pl.when(pl.Series(faults != 0)).then("user_id").alias("user_id"),
        pl.when(pl.Series(faults != 1)).then("item_id").otherwise(pl.lit("")).alias("item_id"),
        pl.when(pl.Series(faults != 2)).then("event").otherwise(pl.lit("hover")).alias("event"),
        pl.when(pl.Series(faults != 3)).then("timestamp").alias("timestamp"),
    )
    places = np.concatenate([np.arange(len(clean)), rng.integers(len(clean), size=n)])
    return pl.concat([clean, broken])[np.argsort(places, kind="stable")]
