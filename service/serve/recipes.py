"""Recipes: for each, the layers a placement of items is filled from, the most wished first.

Every recipe ends in the same lower tiers, segment → popular → static, so a slate is full as long as
anything may be shown. A layer is made when the slate reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from models.ragged import Neighbours
from models.snapshot import (
    TRENDING,
    category_prior,
    country_prior,
    segment_prior,
    trending_prior,
)
from service.control.documents import Placement
from service.exposure import Tier
from service.rollouts.definition import Recipe
from service.serve.shelf import MAX_LAYER, Layer, Shelf, rounded
from service.serve.stock import category_paths
from service.serve.visit import Visit

MAX_SPEAKERS = 10
"""Context items that are asked for their neighbours."""

Layers = Iterator[Layer]
LayerMaker = Callable[[Shelf, Visit, Placement], Layers]


def wished_tier(recipe: Recipe) -> Tier:
    """Return the tier that a recipe answers with when nothing is missing."""
    match recipe:
        case "for_you" | "recently_viewed" | "banner_for_you":
            return "personal"
        case "similar_items" | "bought_together" | "trending":
            return "segment"
        case "static":
            return "static"


def layers_of(recipe: Recipe, shelf: Shelf, visit: Visit, placement: Placement) -> Layers:
    """Give the recipe's own layers, then those of the lower tiers."""
    yield from _OWN.get(recipe, _nothing)(shelf, visit, placement)
    if recipe == "static":
        yield shelf.static(placement)
        yield from shelf.popular(placement.only_available)
        return
    yield from _segment(shelf, visit, placement)
    yield from shelf.popular(placement.only_available)
    yield shelf.static(placement)


def _nothing(shelf: Shelf, visit: Visit, placement: Placement) -> Layers:
    return iter(())


def _for_you(shelf: Shelf, visit: Visit, placement: Placement) -> Layers:
    profile = visit.profile
    if profile is None or not profile.speaks:
        return
    excludes_bought = placement.exclude_purchased
    if not profile.is_ready(shelf, excludes_bought) and visit.is_late():
        visit.trouble = "deadline"
        return
    yield from profile.layers(shelf, placement.only_available, excludes_bought)


def _recently_viewed(shelf: Shelf, visit: Visit, placement: Placement) -> Layers:
    if visit.profile is not None:
        newest_first = visit.profile.history.rows[::-1]
        rows = shelf.open_rows(newest_first, placement.only_available)
        yield Layer("personal", "recently_viewed", rows.tolist())


def _similar_items(shelf: Shelf, visit: Visit, placement: Placement) -> Layers:
    if shelf.stock is not None:
        yield _neighbours(shelf, visit, placement, shelf.stock.snapshot.similar, "similar")


def _bought_together(shelf: Shelf, visit: Visit, placement: Placement) -> Layers:
    if shelf.stock is not None:
        together = shelf.stock.snapshot.bought_together
        yield _neighbours(shelf, visit, placement, together, "bought_together")
        yield from _similar_items(shelf, visit, placement)


def _trending(shelf: Shelf, visit: Visit, placement: Placement) -> Layers:
    country = visit.context.country
    if country is not None:
        layer = shelf.prior(
            trending_prior(country), "segment", "trending", placement.only_available
        )
        if layer is not None:
            yield layer
    layer = shelf.prior(TRENDING, "popular", "trending", placement.only_available)
    if layer is not None:
        yield layer


def _segment(shelf: Shelf, visit: Visit, placement: Placement) -> Layers:
    """Give the priors of the page's category, of the shopper's segments, then of the country."""
    if shelf.stock is None:
        return
    for row in visit.context_rows[:1]:
        category = shelf.stock.category(row)
        for path in [] if category is None else category_paths(category):
            layer = shelf.prior(
                category_prior(path), "segment", "category", placement.only_available
            )
            if layer is not None:
                yield layer
    for name in visit.own_segments:
        layer = shelf.prior(segment_prior(name), "segment", "segment", placement.only_available)
        if layer is not None:
            yield layer
    if visit.context.country is not None:
        key = country_prior(visit.context.country)
        layer = shelf.prior(key, "segment", "country", placement.only_available)
        if layer is not None:
            yield layer


def _neighbours(
    shelf: Shelf, visit: Visit, placement: Placement, lists: Neighbours, source: str
) -> Layer:
    """Merge the lists of the context's items: the sum of weights, and who gave the largest."""
    totals: dict[int, float] = {}
    loudest: dict[int, tuple[float, int]] = {}
    for speaker in visit.context_rows[:MAX_SPEAKERS]:
        rows, weights = lists[speaker]
        for row, weight in zip(rows.tolist(), rounded(weights), strict=True):
            totals[row] = totals.get(row, 0.0) + weight
            if row not in loudest or weight > loudest[row][0]:
                loudest[row] = (weight, speaker)
    shown = shelf.shown_mask(placement.only_available)
    ranked = sorted((row for row in totals if shown[row]), key=lambda row: (-totals[row], row))
    ranked = ranked[:MAX_LAYER]
    return Layer(
        "segment",
        source,
        ranked,
        [round(totals[row], 6) for row in ranked],
        [loudest[row][1] for row in ranked],
    )


_OWN: dict[Recipe, LayerMaker] = {
    "for_you": _for_you,
    "recently_viewed": _recently_viewed,
    "similar_items": _similar_items,
    "bought_together": _bought_together,
    "trending": _trending,
}
