"""One placement of items: fill, spread, explore."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from msgspec.structs import replace

from service.control.rule import Rule
from service.rollouts.definition import Recipe
from service.serve.exploration import MS_PER_HOUR, draw_seed, explore
from service.serve.fill import Caps, Pick, fill
from service.serve.pins import Pinned, Skipped, pin_items, weave
from service.serve.plan import Plan
from service.serve.recipes import layers_of
from service.serve.rerank import spread
from service.serve.ruled import ruled
from service.serve.shelf import Layer, Shelf
from service.serve.visit import Visit

EXPLORED = "explore"

_SPREAD: frozenset[Recipe] = frozenset({"for_you", "trending"})
_NEVER_EXPLORED: frozenset[Recipe] = frozenset({"static", "recently_viewed"})

Placed = tuple[Pick, float]
"""What stands at a position, and its propensity."""


class Picked(NamedTuple):
    """What stands in a placement, and how it came to it."""

    placed: list[Placed]
    chosen: list[Pick]
    """What the ranking would show without exploration; what is pinned is not among it."""
    pinned: dict[int, tuple[Pick, Rule]]
    """What rules put there, by the position that they name."""
    skipped: list[Skipped]
    """Pins that do not stand."""


def pick_items(shelf: Shelf, visit: Visit, plan: Plan, barred: set[str]) -> Picked:
    """Fill the positions: first what is pinned, then by rank, a share of it by chance.

    Ids in `barred` are never taken; those taken are added.
    """
    placement, recipe, rules = plan.placement, plan.recipe, plan.rules
    purchased = purchased_rows(visit, plan)
    caps = caps_of(plan)
    pinned = Pinned({}, [])
    if rules is not None and rules.pins:
        pinned = pin_items(
            shelf,
            placement,
            rules,
            plan.k,
            lambda: candidates(shelf, visit, plan),
            barred=barred,
            purchased=purchased,
            caps=caps,
        )
    chosen = fill(
        candidates(shelf, visit, plan),
        shelf,
        plan.k - len(pinned.picks),
        barred=barred,
        purchased=purchased,
        caps=caps,
    )
    if recipe in _SPREAD:
        chosen = _spread(chosen)
    ranked: list[Placed] = [(pick, 1.0) for pick in chosen]
    unit = visit.unit
    if placement.explore_share and unit is not None and recipe not in _NEVER_EXPLORED:
        pools = _pools(shelf, visit, plan, (chosen, pinned), barred)
        seed = draw_seed(unit.kind, unit.key, placement.id, visit.now_ms)
        ranked = [
            (replace(pick, source=EXPLORED) if by_chance else pick, propensity)
            for pick, propensity, by_chance in explore(chosen, pools, placement.explore_share, seed)
        ]
    placed = weave(ranked, {place: (pick, 1.0) for place, (pick, _) in pinned.picks.items()})
    return Picked(placed, chosen, *pinned)


def candidates(shelf: Shelf, visit: Visit, plan: Plan) -> Iterator[Layer]:
    """Give the layers of the recipe as the rules leave them."""
    return ruled(layers_of(plan.recipe, shelf, visit, plan.placement), plan.rules, shelf)


def caps_of(plan: Plan) -> Caps:
    """Make the caps of the placement and of the rules, with nothing counted."""
    rules = () if plan.rules is None else plan.rules.caps
    return Caps(plan.placement.max_per_brand, plan.placement.max_per_category, rules)


def _spread(chosen: list[Pick]) -> list[Pick]:
    categories = [pick.item.category_row for pick in chosen]
    return [chosen[place] for place in spread(categories)]


def purchased_rows(visit: Visit, plan: Plan) -> frozenset[int]:
    """Return what the placement leaves out because the shopper has bought it.

    Nothing of `recently_viewed`: that is the shopper's own history, and no advice.
    """
    is_history = plan.recipe == "recently_viewed"
    if visit.profile is None or is_history or not plan.placement.exclude_purchased:
        return frozenset()
    return visit.profile.purchased


def _pools(
    shelf: Shelf,
    visit: Visit,
    plan: Plan,
    standing: tuple[list[Pick], Pinned],
    barred: set[str],
) -> list[list[Pick]]:
    """Give each position at most two entries of its own: a new item, and a next best candidate.

    Which new items have their turn depends on the hour alone, so the pools are the same for every
    draw. With caps, an entry is left out if the slate broke one when every draw went its way.
    """
    placement, (chosen, pinned) = plan.placement, standing
    k = len(chosen)
    taken = set(barred)
    purchased = purchased_rows(visit, plan)
    uncapped = Caps(None, None)
    new_rows = _turn(shelf.cold(placement.only_available), k, visit.now_ms)
    cold = fill(
        ruled([Layer("popular", EXPLORED, new_rows)], plan.rules, shelf),
        shelf,
        k,
        barred=taken,
        purchased=purchased,
        caps=uncapped,
    )
    following = fill(
        # what is left of the whole catalogue, far behind, is no "next best"
        islice(candidates(shelf, visit, plan), 4),
        shelf,
        k,
        barred=taken,
        purchased=purchased,
        caps=uncapped,
    )
    reserved = caps_of(plan)
    if reserved.binds:
        for pick in (*chosen, *(pick for pick, _ in pinned.picks.values())):
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
