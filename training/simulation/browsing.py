"""One visit of one simulated shopper: a home page, then the pages of what they clicked on.

What is clicked is drawn from the world's truth; what is true of each slate goes to the counters.
Whoever works in the console meanwhile may show what is not of this world: an item of no page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.simulation.api import Body, Page, Slate, Storefront
from training.simulation.counters import Counters
from training.simulation.shelves import HERO, RECS, SIMILAR, TOGETHER
from training.simulation.world import UNKNOWN_ROW, World, sigmoid

MAX_PAGES = 4
"""A visit ends after so many pages."""
SEARCH_SHARE = 0.35
"""How often a shopper who clicked nothing finds an item by searching."""
CART_EASE = 1.2
BUY_SHARE = 0.5
_CONSIDERED = 40
"""How many items a search brings up."""
_NO_LEAVES = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Browsing:
    """What all visits share."""

    world: World
    storefront: Storefront
    counters: Counters
    banner_leaves: dict[str, NDArray[np.int64]]
    """What each banner advertises."""
    item_rows: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        world: World,
        storefront: Storefront,
        counters: Counters,
        banner_leaves: dict[str, NDArray[np.int64]],
    ) -> Browsing:
        """Prepare for visits."""
        item_rows = {item_id: row for row, item_id in enumerate(world.shop.item_ids)}
        return cls(world, storefront, counters, banner_leaves, item_rows)


@dataclass(slots=True)
class Visit:
    """Who visits, what for, and what happened so far."""

    id: str
    """Distinct among all visits: session, order and event ids are made from it."""
    shopper_row: int
    intent_leaf: int
    is_anonymous: bool
    rng: np.random.Generator
    has_consent: bool = True
    n_events: int = 0

    def next_event_id(self) -> str:
        """Name the next event."""
        self.n_events += 1
        return f"{self.id}-{self.n_events}"


async def browse(shop: Browsing, visit: Visit) -> None:
    """Walk through the shop until nothing invites another click."""
    shop.counters.n_visits += 1
    item_row = await _see_home(shop, visit)
    for _ in range(MAX_PAGES - 1):
        if item_row is None:
            return
        item_row = await _see_product(shop, visit, item_row)


async def _see_home(shop: Browsing, visit: Visit) -> int | None:
    page = await shop.storefront.serve(_request(shop, visit, "home", [HERO, RECS], []))
    if page is None:
        return None
    events, clicked = _look(shop, visit, page)
    await shop.storefront.send(events)
    if clicked is None and visit.rng.random() < SEARCH_SHARE:
        return _search(shop, visit)
    return clicked


async def _see_product(shop: Browsing, visit: Visit, item_row: int) -> int | None:
    item_id = shop.world.shop.item_ids[item_row]
    page = await shop.storefront.serve(
        _request(shop, visit, "product", [SIMILAR, TOGETHER], [item_id])
    )
    events = [_event(shop, visit, "view", item_id=item_id)]
    events += _consider_buying(shop, visit, item_row)
    clicked = None
    if page is not None:
        more, clicked = _look(shop, visit, page)
        events += more
    await shop.storefront.send(events)
    return clicked


def _look(shop: Browsing, visit: Visit, page: Page) -> tuple[list[Body], int | None]:
    """Look at a page: the events that follow, and the item whose page comes next."""
    events: list[Body] = []
    liked: list[int] = []
    for slate in page.placements:
        shown_ids = slate.shown_ids
        if not shown_ids:
            continue
        for grade in ("rendered", "viewable"):
            seen = {"exposure_id": slate.exposure_id, "grade": grade}
            events.append(_event(shop, visit, "exposure", **seen))
        chances = _click_chances(shop, visit, slate)
        clicks = visit.rng.random(len(chances)) < chances
        if slate.rollout is not None and slate.rollout.reason == "SPLIT":
            arm = shop.counters.truth.arm(slate.rollout.epoch, slate.rollout.variant)
            arm.add(chances, clicks)
        named = "item_id" if slate.kind == "items" else "banner_id"
        for place in np.flatnonzero(clicks):
            shown_id = shown_ids[place]
            clicked = {"exposure_id": slate.exposure_id, named: shown_id}
            events.append(_event(shop, visit, "click", **clicked))
            if slate.kind == "items" and shown_id in shop.item_rows:
                liked.append(shop.item_rows[shown_id])
    return events, (int(visit.rng.choice(liked)) if liked else None)


def _click_chances(shop: Browsing, visit: Visit, slate: Slate) -> NDArray[np.float64]:
    if slate.kind == "banners":
        leaves = [shop.banner_leaves.get(banner_id, _NO_LEAVES) for banner_id in slate.shown_ids]
        chances = [shop.world.banner_click_probability(visit.shopper_row, own) for own in leaves]
        return np.array(chances)
    rows = [shop.item_rows.get(item_id, UNKNOWN_ROW) for item_id in slate.shown_ids]
    return shop.world.click_probability(visit.shopper_row, rows, visit.intent_leaf)


def _search(shop: Browsing, visit: Visit) -> int:
    """Find an item without Endcap: what they want most among some that they come across."""
    found = visit.rng.integers(len(shop.world.shop), size=_CONSIDERED)
    utility = shop.world.utility(visit.shopper_row, found, visit.intent_leaf)
    return int(found[np.argmax(utility + visit.rng.gumbel(size=_CONSIDERED))])


def _consider_buying(shop: Browsing, visit: Visit, item_row: int) -> list[Body]:
    world = shop.world
    utility = world.utility(visit.shopper_row, item_row, visit.intent_leaf) + CART_EASE
    if not world.shop.available[item_row] or visit.rng.random() >= sigmoid(utility):
        return []
    price = float(world.shop.price[item_row])
    line: dict[str, Any] = {"item_id": world.shop.item_ids[item_row], "quantity": 1, "price": price}
    events = [_event(shop, visit, "add_to_cart", **line)]
    if visit.rng.random() < BUY_SHARE:
        shop.counters.n_purchases += 1
        shop.counters.revenue += price
        events.append(_event(shop, visit, "purchase", **line, order_id=f"{visit.id}-order"))
    return events


def _request(
    shop: Browsing, visit: Visit, page: str, placements: list[str], item_ids: list[str]
) -> Body:
    shoppers = shop.world.shoppers
    return {
        "user": _who(shop, visit),
        "context": {
            "channel": "web",
            "platform": shoppers.platforms[visit.shopper_row],
            "country": shoppers.countries[visit.shopper_row],
            "page": page,
            "item_ids": item_ids,
        },
        "placements": [{"id": placement_id} for placement_id in placements],
    }


def _event(shop: Browsing, visit: Visit, event: str, **more: Any) -> Body:
    shoppers = shop.world.shoppers
    return {
        "event": event,
        "event_id": visit.next_event_id(),
        **_who(shop, visit),
        "channel": "web",
        "platform": shoppers.platforms[visit.shopper_row],
        "country": shoppers.countries[visit.shopper_row],
        **more,
    }


def _who(shop: Browsing, visit: Visit) -> Body:
    """Name the shopper as the page knows them: signed in or not."""
    shoppers, row = shop.world.shoppers, visit.shopper_row
    signed_in = {} if visit.is_anonymous else {"user_id": shoppers.user_ids[row]}
    return {
        **signed_in,
        "anonymous_id": shoppers.anonymous_ids[row],
        "session_id": visit.id,
        "consent": visit.has_consent,
    }
