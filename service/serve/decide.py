"""Deciding a page: rollout, recipe, slate and exposure of each placement. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from service.control.documents import Placement
from service.exposure import Candidate, Exposure, Shown
from service.serve.banner_slates import banner_slate
from service.serve.item_slates import item_slate
from service.serve.page import Slate
from service.serve.plan import Plan, make_plan
from service.serve.remembered import Filled
from service.serve.request import PlacementRequest
from service.serve.shelf import Shelf
from service.serve.visit import Visit
from service.serve.why import Around, why_banners, why_items


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What a placement shows, and the row that says so."""

    slate: Slate
    exposure: Exposure


def decide_page(
    shelf: Shelf,
    visit: Visit,
    wanted: Sequence[tuple[Placement, PlacementRequest]],
    make_id: Callable[[], str],
) -> list[Decision]:
    """Decide the placements in the order given; what an earlier one shows no later one repeats.

    `make_id` makes the ids of the exposures.
    """
    page_items: dict[str, str] = {}
    page_banners: dict[str, str] = {}
    decisions: list[Decision] = []
    n_left = len(wanted)
    for placement, asked in wanted:
        n_left -= 1
        plan = make_plan(shelf, visit, placement, asked, make_id())
        slate: Slate
        filled: Filled[Any]
        candidates: tuple[Candidate, ...] = ()
        if placement.kind == "items":
            barred = {*page_items, *visit.context.item_ids, *asked.exclude_item_ids}
            before = frozenset(barred) if visit.why else frozenset()
            slate, filled = item_slate(shelf, visit, plan, barred)
            if visit.why:
                around = Around(before, page_items, asked, filled.shown)
                slate = msgspec.structs.replace(slate, why=why_items(shelf, visit, plan, around))
            standing = page_items
        else:
            slate, filled, candidates = banner_slate(shelf, visit, plan, set(page_banners))
            if visit.why:
                around = Around((), page_banners, asked, filled.shown)
                slate = msgspec.structs.replace(slate, why=why_banners(shelf, visit, plan, around))
            standing = page_banners
        if n_left:  # nobody asks what stands in the last one
            standing.update((one, placement.id) for one in filled.ids)
        exposure = _expose(shelf, visit, plan, slate, filled.shown, candidates=candidates)
        decisions.append(Decision(slate, exposure))
    return decisions


def _expose(
    shelf: Shelf,
    visit: Visit,
    plan: Plan,
    slate: Slate,
    shown: tuple[Shown, ...],
    *,
    candidates: tuple[Candidate, ...],
) -> Exposure:
    placement, context, unit, assignment = plan.placement, visit.context, plan.unit, plan.assignment
    unit_kind = unit_key = rollout_key = variant = reason = epoch = None
    if unit is not None:
        unit_kind, unit_key = unit.kind, unit.key
    if assignment is not None:
        rollout_key, variant, epoch = assignment.key, assignment.variant, assignment.epoch
        reason = assignment.logged_reason
    return Exposure(
        exposure_id=plan.exposure_id,
        request_id=visit.request_id,
        at_ms=visit.now_ms,
        unit_kind=unit_kind,
        unit_key=unit_key,
        user_key=visit.user_key,
        anonymous_key=visit.anonymous_key,
        session_key=visit.session_key,
        placement_id=placement.id,
        kind=placement.kind,
        recipe=plan.recipe,
        tier=slate.tier,
        degraded=slate.degraded,
        rollout_key=rollout_key,
        variant=variant,
        reason=reason,
        epoch=epoch,
        model_version=shelf.version,
        country=context.country,
        channel=context.channel,
        platform=context.platform,
        page=context.page,
        crossover=plan.crossover,
        segment=visit.segment if placement.kind == "banners" else None,
        candidates=candidates,
        shown=shown,
    )
