"""Slates of items: what stands in a placement, as the answer shows it and as the log keeps it."""

from __future__ import annotations

from typing import cast

import msgspec

from service.exposure import Shown, Tier
from service.serve.explain import parts_of
from service.serve.items import Picked, pick_items
from service.serve.notes import item_notes
from service.serve.page import Degraded, ItemSlate, RuleNote, ServedItem
from service.serve.plan import Plan
from service.serve.remembered import Filled, FilledText, Key, RememberedSlates
from service.serve.shelf import Shelf
from service.serve.slate_outcome import (
    make_filled,
    memory_for,
    most_personal,
    rollout_answer,
    what_failed,
)
from service.serve.slate_text import CARD, write_slate
from service.serve.visit import Visit


def item_slate(
    shelf: Shelf, visit: Visit, plan: Plan, barred: set[str]
) -> tuple[ItemSlate, Filled[ServedItem]]:
    """Fill a placement of items with none of the ids in `barred`."""
    memory = None if barred or plan.placement.explore_share else memory_for(shelf, visit, plan, 0)
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
        rollout=rollout_answer(plan.assignment),
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
        served = _serve(shelf, visit, plan, picked, has_cards=False)
        tier, degraded = _outcome(shelf, visit, plan, picked)
        items = [pick.item for pick, _ in picked.placed]
        written = write_slate(served, [item.attributes for item in items])
        text = FilledText(written, tuple([item.id for item in items]), tier, degraded)
        if memory is not None and visit.trouble is None:
            memory[0].keep(memory[1], text)
    return text


def _fill(shelf: Shelf, visit: Visit, plan: Plan, barred: set[str]) -> Filled[ServedItem]:
    """Fill a placement for who reads it, with what explains it."""
    picked = pick_items(shelf, visit, plan, barred)
    served = _serve(shelf, visit, plan, picked, has_cards=True)
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
    return make_filled(served, shown, tier, degraded, notes)


def _serve(
    shelf: Shelf,
    visit: Visit,
    plan: Plan,
    picked: Picked,
    *,
    has_cards: bool,
) -> list[ServedItem]:
    """Say what stands where; without cards each is to be put in afterwards."""
    placed, explain = picked.placed, visit.explain
    parts = parts_of(shelf, visit, placed) if explain else [msgspec.UNSET] * len(placed)
    says_because = plan.placement.show_because or explain
    served: list[ServedItem] = []
    for position, ((pick, propensity), part) in enumerate(zip(placed, parts, strict=True), 1):
        item, row = pick.item, pick.because_row
        served.append(
            ServedItem(
                id=item.id,
                position=position,
                score=pick.score,
                source=pick.source,
                because=shelf.item(row).id if says_because and row >= 0 else None,
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
    degraded = what_failed(shelf, visit, plan.recipe, tiers) if is_asked else None
    return most_personal(tiers), degraded
