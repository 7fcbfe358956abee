"""Slates of banners: what stands in a placement, as the answer shows it and as the log keeps it."""

from __future__ import annotations

from typing import cast

import msgspec

from service.exposure import Candidate, Shown
from service.serve.banner_picks import CLICK_RATE
from service.serve.banners import click_rates, pick_banners
from service.serve.notes import banner_notes
from service.serve.page import BannerSlate, RuleNote, ServedBanner
from service.serve.plan import Plan
from service.serve.remembered import Filled, Key, RememberedSlates
from service.serve.shelf import Shelf
from service.serve.slate_outcome import (
    make_filled,
    memory_for,
    most_personal,
    rollout_answer,
    what_failed,
)
from service.serve.visit import Visit


def banner_slate(
    shelf: Shelf, visit: Visit, plan: Plan, barred: set[str]
) -> tuple[BannerSlate, Filled[ServedBanner], tuple[Candidate, ...]]:
    """Fill a placement of banners with none of the ids in `barred`."""
    memory = None if barred else _banner_memory(shelf, visit, plan)
    filled = None
    if memory is not None:
        filled = cast("Filled[ServedBanner] | None", memory[0].get(memory[1]))
    candidates: tuple[Candidate, ...] = ()
    if filled is None:
        filled, candidates = _fill_banners(shelf, visit, plan, barred)
        if memory is not None and visit.trouble is None:
            memory[0].keep(memory[1], filled)
    slate = BannerSlate(
        id=plan.placement.id,
        exposure_id=plan.exposure_id,
        tier=filled.tier,
        degraded=filled.degraded,
        rollout=rollout_answer(plan.assignment),
        banners=filled.served,
        rules=filled.rules,
    )
    return slate, filled, candidates


def _banner_memory(shelf: Shelf, visit: Visit, plan: Plan) -> tuple[RememberedSlates, Key] | None:
    """Find where a slate of banners may be remembered.

    Not if an audience is asked about the visitor, chance or learned click rates have a say, views
    have used a banner up, or a variant names the banners.
    """
    table, placement = shelf.banners, plan.placement
    if (
        table.has_audiences
        or placement.explore_share
        or visit.resting
        or plan.names_banners
        or click_rates(visit, plan) is not None
    ):
        return None
    return memory_for(shelf, visit, plan, table.season(visit.now_ms))


def _fill_banners(
    shelf: Shelf, visit: Visit, plan: Plan, barred: set[str]
) -> tuple[Filled[ServedBanner], tuple[Candidate, ...]]:
    placed, chosen, pinned, candidates = pick_banners(shelf, visit, plan, barred)
    banners: list[ServedBanner] = []
    shown: list[Shown] = []
    for position, (pick, propensity) in enumerate(placed, 1):
        banner, source = pick.banner.banner, pick.source
        banners.append(
            ServedBanner(
                id=banner.id,
                position=position,
                title=banner.title,
                image_url=banner.image_url,
                link_url=banner.link_url,
                source=source,
                propensity=propensity,
            )
        )
        shown.append(
            Shown(
                id=banner.id,
                position=position,
                source=source,
                propensity=propensity,
                score=pick.score,
                fit=pick.fit,
            )
        )
    tiers = {pick.tier for pick in chosen}
    tier = most_personal(tiers)
    is_asked = bool(chosen) or not pinned.picks
    degraded = what_failed(shelf, visit, plan.recipe, tiers) if is_asked else None
    if degraded == "no_candidates" and any(pick.source == CLICK_RATE for pick in chosen):
        degraded = None  # others fitted, and are clicked less
    notes: tuple[RuleNote, ...] | msgspec.UnsetType = msgspec.UNSET
    if visit.explain:
        notes = banner_notes(plan.rules, placed, pinned)
    return make_filled(banners, shown, tier, degraded, notes), candidates
