"""One placement of banners: what fits the history, the page, the country; then as listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from models.snapshot import POPULAR, country_prior
from service.control.documents import Placement
from service.exposure import Tier
from service.rollouts.definition import Recipe
from service.serve.banner_table import CompiledBanner
from service.serve.exploration import draw_seed, explore
from service.serve.items import EXPLORED
from service.serve.plan import Plan
from service.serve.shelf import Shelf
from service.serve.visit import Visit

MAX_PRIOR_ITEMS = 20
"""The best items of a country, or of all, that stand for the taste of someone unknown."""

Ranked = list[tuple[float, int]]


class BannerPick(NamedTuple):
    """One banner taken for a slate."""

    banner: CompiledBanner
    tier: Tier
    source: str
    score: float | None


def pick_banners(
    shelf: Shelf, visit: Visit, plan: Plan, barred: set[str]
) -> tuple[list[tuple[BannerPick, float]], list[BannerPick]]:
    """Fill the positions; return what stands there with its propensity, and what would by rank.

    Ids in `barred` are never taken; the ids that stand there are not added.
    """
    placement, recipe, k = plan.placement, plan.recipe, plan.k
    taken = barred | visit.resting
    explores = bool(placement.explore_share) and recipe != "static" and visit.unit is not None
    picks: list[BannerPick] = []
    wanted = 2 * k if explores else k
    for pick in _candidates(shelf, visit, placement, recipe):
        if pick.banner.id not in taken and pick.banner.is_live(visit.now_ms):
            taken.add(pick.banner.id)
            picks.append(pick)
            if len(picks) == wanted:
                break
    chosen, following = picks[:k], picks[k:]
    unit = visit.unit
    if not explores or unit is None:
        return [(pick, 1.0) for pick in chosen], chosen
    pools = [following[place : place + 1] for place in range(len(chosen))]
    seed = draw_seed(unit.kind, unit.key, placement.id, visit.now_ms)
    return [
        (pick._replace(source=EXPLORED) if by_chance else pick, propensity)
        for pick, propensity, by_chance in explore(chosen, pools, placement.explore_share, seed)
    ], chosen


def _candidates(
    shelf: Shelf, visit: Visit, placement: Placement, recipe: Recipe
) -> Iterator[BannerPick]:
    table = shelf.banners
    if recipe == "banner_for_you":
        for tier, source, ranked in _ranked(shelf, visit):
            for score, number in ranked:
                yield BannerPick(table.entries[number], tier, source, score)
    for banner_id in placement.static_ids:
        listed = table.numbers.get(banner_id)
        if listed is not None:
            yield BannerPick(table.entries[listed], "static", "static", None)
    for entry in table.entries:
        yield BannerPick(entry, "static", "weight", None)


def _ranked(shelf: Shelf, visit: Visit) -> Iterator[tuple[Tier, str, Ranked]]:
    profile, rows = visit.profile, visit.context_rows
    if profile is not None and profile.speaks:
        if visit.is_late() and not profile.has_banners(shelf):
            visit.trouble = "deadline"
        else:
            yield "personal", "affinity", profile.banners(shelf)
    if rows:
        yield "segment", "page", shelf.banners.rank(rows, [1 / len(rows)] * len(rows))
    if visit.context.country is not None:
        yield "segment", "country", _prior(shelf, country_prior(visit.context.country))
    yield "popular", "popular", _prior(shelf, POPULAR)


def _prior(shelf: Shelf, key: str) -> Ranked:
    """Rank the banners for the best items of a context; the shelf remembers the answer."""
    ranked = shelf.banner_priors.get(key)
    if ranked is None:
        layer = shelf.prior(key, "segment", "banners", only_available=True)
        if layer is None or not layer.rows:
            return []
        rows = layer.rows[:MAX_PRIOR_ITEMS]
        ranked = shelf.banners.rank(rows, [1 / len(rows)] * len(rows))
        shelf.banner_priors[key] = ranked
    return ranked
