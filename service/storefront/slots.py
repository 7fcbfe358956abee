"""The slots of the shop's pages: which placement each one asks for, and what stands there before.

A slot whose placement is not configured is left out, so the shop fits any configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.control.configuration import Configuration
from service.control.documents import Banner, Placement
from service.storefront.catalogue import Catalogue, Product

PageKind = Literal["home", "category", "product", "basket", "empty_basket", "order"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A slot in the layout of a page."""

    placement_id: str
    title: str
    """Over the merchandiser's list."""
    titles: tuple[tuple[str, str], ...] = ()
    """Over an answer of a tier, where that is another title."""


_CHOSEN = (("personal", "Picked for you"), ("segment", "Popular near you"), ("popular", "Popular"))
LAYOUT: dict[PageKind, tuple[Wanted, ...]] = {
    "home": (
        Wanted("home_hero", "This week"),
        Wanted("home_recs", "Best sellers", _CHOSEN),
        Wanted("home_trending", "Trending now"),
    ),
    "category": (Wanted("category_picks", "You may also like", _CHOSEN),),
    "product": (
        Wanted("product_together", "Goes well with it"),
        Wanted("product_similar", "More like this"),
    ),
    "basket": (Wanted("basket_together", "Goes well with your basket"),),
    "empty_basket": (Wanted("home_recs", "Best sellers", _CHOSEN),),
    "order": (Wanted("home_recs", "Best sellers", _CHOSEN),),
}


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot with what stands there until an answer comes, and stays if none does."""

    placement: Placement
    wanted: Wanted
    products: list[Product]
    banner: Banner | None = None


def slots_of(page: PageKind, configuration: Configuration, catalogue: Catalogue) -> list[Slot]:
    """Lay a page out with the static content of its placements."""
    slots = []
    taken: set[str] = set()
    for wanted in LAYOUT[page]:
        placement = configuration.placements.get(wanted.placement_id)
        if placement is None or not placement.enabled:
            continue
        slot = _filled(wanted, placement, configuration, catalogue, taken)
        if slot is not None:
            slots.append(slot)
            taken.update(product.id for product in slot.products)
    return slots


def _filled(
    wanted: Wanted,
    placement: Placement,
    configuration: Configuration,
    catalogue: Catalogue,
    taken: set[str],
) -> Slot | None:
    if placement.kind == "banners":
        banners = (configuration.banners.get(one) for one in placement.static_ids)
        first = next((one for one in banners if one is not None and one.enabled), None)
        return None if first is None else Slot(placement, wanted, [], first)
    listed = catalogue.products(placement.static_ids, configuration)
    popular = catalogue.best("", configuration, 2 * placement.size)
    chosen: dict[str, Product] = {}
    for product in (*listed, *popular):
        if product.id not in taken and len(chosen) < placement.size:
            chosen.setdefault(product.id, product)
    return Slot(placement, wanted, list(chosen.values())) if chosen else None
