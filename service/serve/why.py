"""Why is X not here? Worked out only when asked: the way to the slate once more, taking notes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from models.vocabulary import MISSING_ROW
from service.exposure import Shown
from service.serve.banner_picks import CLICK_RATE
from service.serve.banners import banner_barrier, click_rates, ranked_banners
from service.serve.items import candidates, caps_of, purchased_rows
from service.serve.page import Reason, WhyNot
from service.serve.pins import PIN
from service.serve.plan import Plan
from service.serve.request import PlacementRequest
from service.serve.shelf import Shelf
from service.serve.standing import barrier_of
from service.serve.visit import Visit

MAX_WALKED = 10_000
"""Candidates that are looked through for an item, for some milliseconds."""


class Found(NamedTuple):
    """An item among the candidates."""

    rank: int
    """1-based, among what may stand there."""
    score: float | None
    source: str
    refused: tuple[Reason, str | None] | None
    """The cap that left no room for it, and its rule."""
    is_within: bool
    """Whether it would stand there but for chance."""


class Last(NamedTuple):
    """The last candidate that found a place."""

    source: str = ""
    score: float | None = None


class Around(NamedTuple):
    """What the slate was filled beside."""

    barred: Collection[str]
    """Ids that could not be taken."""
    on_page: Mapping[str, str]
    """Items of slates before this one, and where they stand."""
    asked: PlacementRequest
    shown: tuple[Shown, ...]


def why_items(shelf: Shelf, visit: Visit, plan: Plan, around: Around) -> tuple[WhyNot, ...]:
    """Say of each item that was asked about what keeps it off a slate, or where it stands."""
    answers = {one: _barred_item(shelf, visit, plan, around, one) for one in visit.why}
    open_ids = {one for one, answer in answers.items() if answer is None}
    found, last, n_walked = _walk(shelf, visit, plan, around, open_ids)
    for one in open_ids:
        place = found.get(one)
        if place is not None:
            answers[one] = _ranked(one, place, last)
        elif n_walked >= MAX_WALKED:
            answers[one] = WhyNot(id=one, reason="ranked_below", score_needed=last.score)
        else:
            answers[one] = _not_found(shelf, one)
    return tuple(answer for answer in answers.values() if answer is not None)


def why_banners(shelf: Shelf, visit: Visit, plan: Plan, around: Around) -> tuple[WhyNot, ...]:
    """Say of each banner that was asked about what keeps it off a slate, or where it stands."""
    return tuple(_why_banner(shelf, visit, plan, around, one) for one in visit.why)


def _barred_item(
    shelf: Shelf, visit: Visit, plan: Plan, around: Around, item_id: str
) -> WhyNot | None:
    position = next((one.position for one in around.shown if one.id == item_id), None)
    if position is not None:
        return WhyNot(id=item_id, reason="shown", position=position)
    row = MISSING_ROW if shelf.stock is None else shelf.stock.row(item_id)
    listed = item_id in plan.placement.static_ids
    if row == MISSING_ROW and not listed:
        return WhyNot(id=item_id, reason="no_model" if shelf.stock is None else "not_in_catalogue")
    found = barrier_of(
        shelf,
        plan.placement,
        plan.rules,
        item_id,
        barred=around.barred,
        purchased=purchased_rows(visit, plan),
    )
    if found is None:
        return None
    if found.barrier != "barred":
        return WhyNot(id=item_id, reason=found.barrier, rule=found.rule_id)
    if item_id in around.on_page:
        return WhyNot(id=item_id, reason="on_page", placement=around.on_page[item_id])
    is_excluded = item_id in around.asked.exclude_item_ids
    return WhyNot(id=item_id, reason="excluded" if is_excluded else "page_item")


def _walk(
    shelf: Shelf, visit: Visit, plan: Plan, around: Around, wanted: Collection[str]
) -> tuple[dict[str, Found], Last, int]:
    """Fill the slate once more and note at which rank each wanted item comes."""
    found: dict[str, Found] = {}
    last = Last()
    if not wanted:
        return found, last, 0
    caps = caps_of(plan)
    pinned = [one.id for one in around.shown if one.source == "pin"]
    for item_id in pinned:
        caps.take(shelf.item(shelf.row_of(item_id)))
    met = {*around.barred, *pinned}
    purchased = purchased_rows(visit, plan)
    rank, n_open = 0, plan.k - len(pinned)
    for layer in candidates(shelf, visit, plan):
        for place, row in enumerate(layer.rows):
            item = shelf.item(row)
            if row in purchased or item.id in met:
                continue
            met.add(item.id)
            rank += 1
            refused = caps.refusal(item)
            takes = refused is None and n_open > 0
            score = None if layer.scores is None else layer.scores[place]
            if takes:
                caps.take(item)
                n_open -= 1
                last = Last(layer.source, score)
            if item.id in wanted:
                found[item.id] = Found(rank, score, layer.source, refused, takes)
            if len(found) == len(wanted) or rank >= MAX_WALKED:
                return found, last, rank
    return found, last, rank


def _ranked(item_id: str, place: Found, last: Last) -> WhyNot:
    needed = last.score if last.source == place.source else None
    answer = WhyNot(
        id=item_id,
        reason="ranked_below",
        rank=place.rank,
        score=place.score,
        score_needed=needed,
        source=place.source,
    )
    if place.is_within:
        return msgspec.structs.replace(answer, reason="explored_away")
    if place.refused is not None:
        reason, rule = place.refused
        return msgspec.structs.replace(answer, reason=reason, rule=rule)
    return answer


def _not_found(shelf: Shelf, item_id: str) -> WhyNot:
    reason: Reason = "no_model" if shelf.stock is None else "not_a_candidate"
    return WhyNot(id=item_id, reason=reason)


def _why_banner(shelf: Shelf, visit: Visit, plan: Plan, around: Around, banner_id: str) -> WhyNot:
    position = next((one.position for one in around.shown if one.id == banner_id), None)
    if position is not None:
        return WhyNot(id=banner_id, reason="shown", position=position)
    stored = shelf.configuration.banners.get(banner_id)
    if stored is None:
        return WhyNot(id=banner_id, reason="not_in_catalogue")
    if not stored.enabled or stored.weight == 0:
        return WhyNot(id=banner_id, reason="switched_off")
    if banner_id in around.on_page:
        return WhyNot(id=banner_id, reason="on_page", placement=around.on_page[banner_id])
    found = banner_barrier(shelf, visit, plan.rules, banner_id, ())
    if found is not None:
        return WhyNot(id=banner_id, reason=found[0], rule=found[1])
    return _ranked_banner(shelf, visit, plan, around, banner_id)


def _ranked_banner(
    shelf: Shelf, visit: Visit, plan: Plan, around: Around, banner_id: str
) -> WhyNot:
    pinned = [one.id for one in around.shown if one.source == PIN]
    ranked = ranked_banners(shelf, visit, plan, {*around.on_page, *pinned})
    # It is among them unless more compete than may.
    rank = next((n for n, pick in enumerate(ranked, 1) if pick.banner.id == banner_id), None)
    pick = None if rank is None else ranked[rank - 1]
    score, source = (None, "") if pick is None else (pick.score, pick.source)
    if pick is not None and click_rates(visit, plan) is not None:
        source = CLICK_RATE
    is_away = rank is not None and rank <= plan.k - len(pinned)
    reason: Reason = "explored_away" if is_away else "ranked_below"
    return WhyNot(id=banner_id, reason=reason, rank=rank, score=score, source=source)
