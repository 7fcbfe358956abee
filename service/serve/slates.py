"""Slates: what stands in a placement, once as the answer shows it and once as the log keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from service.exposure import Candidate, Shown, Tier
from service.rollouts.assignment import Assignment
from service.rollouts.definition import Recipe
from service.serve.banner_picks import CLICK_RATE
from service.serve.banners import click_rates, pick_banners
from service.serve.explain import parts_of
from service.serve.items import Picked, pick_items
from service.serve.notes import banner_notes, item_notes
from service.serve.page import (
    BannerSlate,
    Degraded,
    ItemSlate,
    Parts,
    RolloutAnswer,
    RuleNote,
    ServedBanner,
    ServedItem,
)
from service.serve.plan import Plan
from service.serve.recipes import wished_tier
from service.serve.remembered import Filled, FilledText, Key, RememberedSlates, Served
from service.serve.shelf import Shelf
from service.serve.slate_text import CARD, write_slate
from service.serve.visit import Visit

_RANK: dict[Tier, int] = {"personal": 0, "segment": 1, "popular": 2, "static": 3}


def item_slate(
    shelf: Shelf, visit: Visit, plan: Plan, barred: set[str]
) -> tuple[ItemSlate, Filled[ServedItem]]:
    """Fill a placement of items with none of the ids in `barred`."""
    memory = None if barred or plan.placement.explore_share else _memory_for(shelf, visit, plan, 0)
    if memory is None and not visit.as_text:
        filled = _fill(shelf, visit, plan, barred)
    else:
        text = _text(shelf, visit, plan, barred, memory)
        filled = text.filled(as_text=visit.as_text)
    slate = ItemSlate(
        id=plan.placement.id,
        exposure_id=plan.exposure_id,
        tier=filled.tier,
        degraded=filled.degraded,
        rollout=_answer(plan.assignment),
        items=filled.served,
        rules=filled.rules,
    )
    return slate, filled


def _text(
    shelf: Shelf,
    visit: Visit,
    plan: Plan,
    barred: set[str],
    memory: tuple[RememberedSlates, Key] | None,
) -> FilledText:
    """Recall a slate, or fill it and remember it, if it may be."""
    text = None if memory is None else cast("FilledText | None", memory[0].get(memory[1]))
    if text is None:
        picked = pick_items(shelf, visit, plan, barred)
        unset = [msgspec.UNSET] * len(picked.placed)
        served = _serve(shelf, picked, unset, has_cards=False)
        tier, degraded = _outcome(shelf, visit, plan, picked)
        items = [pick.item for pick, _ in picked.placed]
        written = write_slate(served, [item.attributes for item in items])
        text = FilledText(written, tuple([item.id for item in items]), tier, degraded)
        if memory is not None and visit.trouble is None:
            memory[0].keep(memory[1], text)
    return text


def _memory_for(
    shelf: Shelf, visit: Visit, plan: Plan, season: int
) -> tuple[RememberedSlates, Key] | None:
    """Find where the slate may be remembered; nothing if it depends on more than the key says."""
    if visit.context_rows or visit.explain or visit.is_preview or visit.trouble is not None:
        return None
    n_rules = 0 if plan.rules is None else plan.rules.number
    key = (plan.placement.id, plan.recipe, plan.k, visit.context.country, n_rules, season)
    profile = visit.profile
    if profile is None or profile.is_stranger:
        return shelf.remembered, key
    return profile.remembered(shelf), key


def _fill(shelf: Shelf, visit: Visit, plan: Plan, barred: set[str]) -> Filled[ServedItem]:
    """Fill a placement for who reads it, with what explains it."""
    picked = pick_items(shelf, visit, plan, barred)
    placed = picked.placed
    parts = parts_of(shelf, visit, placed) if visit.explain else [msgspec.UNSET] * len(placed)
    served = _serve(shelf, picked, parts, has_cards=True)
    shown = [
        Shown(
            id=one.id,
            position=one.position,
            score=one.score,
            source=one.source,
            because=one.because,
            propensity=one.propensity,
        )
        for one in served
    ]
    tier, degraded = _outcome(shelf, visit, plan, picked)
    notes: tuple[RuleNote, ...] | msgspec.UnsetType = msgspec.UNSET
    if visit.explain:
        notes = item_notes(plan.rules, picked)
    return _filled(served, shown, tier, degraded, notes)


def _serve(
    shelf: Shelf,
    picked: Picked,
    parts: Sequence[Parts | msgspec.UnsetType | None],
    *,
    has_cards: bool,
) -> list[ServedItem]:
    """Say what stands where; without cards each is to be put in afterwards."""
    served: list[ServedItem] = []
    for position, ((pick, propensity), part) in enumerate(
        zip(picked.placed, parts, strict=True), 1
    ):
        item = pick.item
        served.append(
            ServedItem(
                id=item.id,
                position=position,
                score=pick.score,
                source=pick.source,
                because=None if pick.because_row < 0 else shelf.item(pick.because_row).id,
                propensity=propensity,
                attributes=item.attributes if has_cards else CARD,
                parts=part,
            )
        )
    return served


def _outcome(
    shelf: Shelf, visit: Visit, plan: Plan, picked: Picked
) -> tuple[Tier, Degraded | None]:
    """Say how personal a slate of items became, and what failed."""
    tiers = {pick.tier for pick in picked.chosen}
    # Where all that stands there is pinned, the recipe was not asked.
    is_asked = bool(picked.chosen) or not picked.pinned
    degraded = _degraded(shelf, visit, plan.recipe, tiers) if is_asked else None
    return _most_personal(tiers), degraded


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
        rollout=_answer(plan.assignment),
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
    return _memory_for(shelf, visit, plan, table.season(visit.now_ms))


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
    tier = _most_personal(tiers)
    is_asked = bool(chosen) or not pinned.picks
    degraded = _degraded(shelf, visit, plan.recipe, tiers) if is_asked else None
    if degraded == "no_candidates" and any(pick.source == CLICK_RATE for pick in chosen):
        degraded = None  # others fitted, and are clicked less
    notes: tuple[RuleNote, ...] | msgspec.UnsetType = msgspec.UNSET
    if visit.explain:
        notes = banner_notes(plan.rules, placed, pinned)
    return _filled(banners, shown, tier, degraded, notes), candidates


def _filled(
    served: list[Served],
    shown: list[Shown],
    tier: Tier,
    degraded: Degraded | None,
    notes: tuple[RuleNote, ...] | msgspec.UnsetType,
) -> Filled[Served]:
    ids = tuple([one.id for one in shown])
    return Filled(tuple(served), tuple(shown), ids, tier, degraded, notes)


def _most_personal(tiers: set[Tier]) -> Tier:
    """Return the highest tier that gave something; of an empty slate, the lowest."""
    if len(tiers) == 1:  # nearly always
        return next(iter(tiers))
    return min(tiers, key=_RANK.__getitem__, default="static")


def _degraded(shelf: Shelf, visit: Visit, recipe: Recipe, tiers: set[Tier]) -> Degraded | None:
    """Say what failed. Someone unknown, or without consent, is no failure."""
    if recipe == "static":
        # A short list that is topped up is what was asked for.
        return None if "static" in tiers else "no_candidates"
    if shelf.stock is None:
        return "no_model"
    wished = wished_tier(recipe)
    if wished == "personal" and visit.trouble is not None:
        return visit.trouble
    tier = _most_personal(tiers)
    if tiers and (_RANK[tier] <= _RANK[wished] or not _promised(visit, recipe)):
        return None
    return "no_candidates"


def _promised(visit: Visit, recipe: Recipe) -> bool:
    """Whether a recipe had what it needs, so that a lower tier is a failure of the model."""
    if recipe == "trending":
        return False
    if wished_tier(recipe) == "personal":
        return visit.profile is not None and visit.profile.speaks
    return True


def _answer(assignment: Assignment | None) -> RolloutAnswer | None:
    if assignment is None:
        return None
    return RolloutAnswer(
        key=assignment.key,
        variant=assignment.variant,
        reason=assignment.reason,
        epoch=assignment.epoch,
        detail=assignment.detail,
    )
