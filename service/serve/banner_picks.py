"""What a slate of banners is made of, and how it is chosen where click rates are learned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from service.exposure import Candidate, Tier
from service.fits import FITS, NO_FIT
from service.serve.banner_table import CompiledBanner
from service.serve.exploration import draw_seed
from service.serve.items import EXPLORED
from service.serve.plan import Plan
from service.serve.rates import Cell
from service.serve.visit import Visit

CLICK_RATE = "click_rate"
"""The source of a banner that nothing but its click rate speaks for."""
MAX_LEARNED = 64
"""Banners that a slate is chosen from by click rate; the first by affinity, if there are more."""

_FIT_RANK: dict[str | None, int] = {fit: rank for rank, fit in enumerate(FITS)}


class BannerPick(msgspec.Struct, frozen=True, gc=False):
    """One banner taken for a slate."""

    banner: CompiledBanner
    tier: Tier
    source: str
    score: float | None
    fit: str | None = None
    """How well it fits; nothing on a static list."""


class LearnedPicks(NamedTuple):
    """The positions that no rule pins."""

    placed: list[tuple[BannerPick, float]]
    """What stands there, with its propensity."""
    chosen: list[BannerPick]
    """What would without chance."""
    candidates: tuple[Candidate, ...] = ()
    """What could, where chance had a say over all of it."""


def pick_learned(
    eligible: Iterable[BannerPick], visit: Visit, plan: Plan, cell: Cell, k: int
) -> LearnedPicks:
    """Fill `k` positions by expected click rate times weight, boosted or buried by rules.

    `eligible` come by falling affinity; of one that comes more than once the best fit counts.
    """
    found: dict[str, BannerPick] = {}
    for pick in eligible:
        before = found.get(pick.banner.id)
        if before is None or _FIT_RANK[pick.fit] > _FIT_RANK[before.fit]:
            found[pick.banner.id] = pick
    picks = list(found.values())[:MAX_LEARNED]
    fits = [pick.fit or NO_FIT for pick in picks]
    weights = [pick.banner.banner.weight for pick in picks]
    if plan.rules is not None and plan.rules.factors:
        boosts = [plan.rules.factor_of_id(pick.banner.id) for pick in picks]
        weights = [weight * boost for weight, boost in zip(weights, boosts, strict=True)]
    draw = cell.draw_of([pick.banner.id for pick in picks], fits, weights, k)
    placement, unit, seed = plan.placement, visit.unit, None
    if unit is not None and placement.explore_share and len(picks) > 1:
        seed = draw_seed(
            unit.kind,
            unit.key,
            placement.id,
            visit.now_ms,
            visit.period_ms,
            resting=visit.resting,
        )

    def pick_of(number: int) -> BannerPick:
        return _explain(picks[number], draw.candidates[number].score, cell)

    placed = []
    for one in draw.lottery.play(placement.explore_share, seed):
        pick = pick_of(one.number)
        placed.append((replace(pick, source=EXPLORED) if one.by_chance else pick, one.propensity))
    chosen = [pick_of(number) for number in draw.lottery.best]
    return LearnedPicks(placed, chosen, () if seed is None else draw.candidates)


def _explain(pick: BannerPick, score: float, cell: Cell) -> BannerPick:
    """Say by what a banner stands there, if nothing but its click rate speaks for it."""
    if pick.tier != "static":
        return replace(pick, score=score)
    tier: Tier = "segment" if cell.is_segment else "popular"
    return replace(pick, score=score, tier=tier, source=CLICK_RATE)
