"""One placement of items: fill, spread, explore."""

from __future__ import annotations

from itertools import islice

from service.control.documents import Placement
from service.rollouts.definition import Recipe
from service.serve.exploration import MS_PER_HOUR, draw_seed, explore
from service.serve.fill import Caps, Pick, fill
from service.serve.plan import Plan
from service.serve.recipes import layers_of
from service.serve.rerank import spread
from service.serve.shelf import Layer, Shelf
from service.serve.visit import Visit

EXPLORED = "explore"

_SPREAD: frozenset[Recipe] = frozenset({"for_you", "trending"})
_NEVER_EXPLORED: frozenset[Recipe] = frozenset({"static", "recently_viewed"})

Placed = tuple[Pick, float]
"""What stands at a position, and its propensity."""


def pick_items(
    shelf: Shelf, visit: Visit, plan: Plan, barred: set[str]
) -> tuple[list[Placed], list[Pick]]:
    """Fill the positions; return what stands there, and what would without exploration.

    Ids in `barred` are never taken; those taken are added.
    """
    placement, recipe = plan.placement, plan.recipe
    purchased = _purchased(visit, placement)
    chosen = fill(
        layers_of(recipe, shelf, visit, placement),
        shelf,
        plan.k,
        barred=barred,
        purchased=purchased,
        caps=Caps(placement.max_per_brand, placement.max_per_category),
    )
    if recipe in _SPREAD:
        chosen = _spread(chosen)
    unit = visit.unit
    if not placement.explore_share or unit is None or recipe in _NEVER_EXPLORED:
        return [(pick, 1.0) for pick in chosen], chosen
    pools = _pools(shelf, visit, plan, chosen, barred)
    seed = draw_seed(unit.kind, unit.key, placement.id, visit.now_ms)
    placed: list[Placed] = []
    for pick, propensity, by_chance in explore(chosen, pools, placement.explore_share, seed):
        shown = pick._replace(source=EXPLORED) if by_chance else pick
        placed.append((shown, propensity))
    return placed, chosen


def _spread(chosen: list[Pick]) -> list[Pick]:
    categories = [pick.item.category_row for pick in chosen]
    return [chosen[place] for place in spread(categories)]


def _purchased(visit: Visit, placement: Placement) -> frozenset[int]:
    if visit.profile is None or not placement.exclude_purchased:
        return frozenset()
    return visit.profile.purchased


def _pools(
    shelf: Shelf, visit: Visit, plan: Plan, chosen: list[Pick], barred: set[str]
) -> list[list[Pick]]:
    """Give each position at most two entries of its own: a new item, and a next best candidate.

    Which new items have their turn depends on the hour alone, so the pools are the same for every
    draw. With caps, an entry is left out if the slate broke one when every draw went its way.
    """
    placement, recipe = plan.placement, plan.recipe
    k = len(chosen)
    taken = set(barred)
    purchased = _purchased(visit, placement)
    uncapped = Caps(None, None)
    cold = fill(
        [Layer("popular", EXPLORED, _turn(shelf.cold(placement.only_available), k, visit.now_ms))],
        shelf,
        k,
        barred=taken,
        purchased=purchased,
        caps=uncapped,
    )
    following = fill(
        # what is left of the whole catalogue, far behind, is no "next best"
        islice(layers_of(recipe, shelf, visit, placement), 4),
        shelf,
        k,
        barred=taken,
        purchased=purchased,
        caps=uncapped,
    )
    reserved = Caps(placement.max_per_brand, placement.max_per_category)
    if reserved.binds:
        for pick in chosen:
            reserved.take(pick.item)
        cold = [pick for pick in cold if reserved.take(pick.item)]
        following = [pick for pick in following if reserved.take(pick.item)]
    pools: list[list[Pick]] = [[] for _ in chosen]
    for picks in (following, cold):
        for pool, pick in zip(pools, picks, strict=False):
            pool.append(pick)
    return pools


def _turn(rows: list[int], k: int, now_ms: int) -> list[int]:
    """Rotate the new items by one slate an hour, so each has its turn."""
    if not rows:
        return rows
    begin = (now_ms // MS_PER_HOUR * k) % len(rows)
    return rows[begin:] + rows[:begin]
