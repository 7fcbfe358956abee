"""One placement of banners: what fits the history, the page, the country; then as listed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from models.snapshot import POPULAR, country_prior
from service.control.rule import Rule
from service.exposure import Candidate, Tier
from service.fits import NO_FIT, fit_of
from service.serve.banner_picks import MAX_LEARNED, BannerPick, pick_learned
from service.serve.banner_table import CompiledBanner
from service.serve.exploration import draw_seed, explore
from service.serve.items import EXPLORED
from service.serve.pins import PIN, Skipped, SkipReason, weave
from service.serve.plan import Plan
from service.serve.rates import Cell
from service.serve.rules import ActingRules
from service.serve.shelf import Shelf
from service.serve.standing import BannerBarrier
from service.serve.visit import Visit

MAX_PRIOR_ITEMS = 20
"""The best items of a country, or of all, that stand for the taste of someone unknown."""

Ranked = list[tuple[float, int]]


class PinnedBanners(NamedTuple):
    """What stands where by rule, by position, and what does not."""

    picks: dict[int, tuple[BannerPick, Rule]]
    skipped: list[Skipped]


class BannerSlatePicks(NamedTuple):
    """A slate of banners."""

    placed: list[tuple[BannerPick, float]]
    """What stands there, with its propensity."""
    chosen: list[BannerPick]
    """What would without chance and rules that pin."""
    pinned: PinnedBanners
    candidates: tuple[Candidate, ...] = ()
    """What could, if chance had a say over all of it."""


def pick_banners(shelf: Shelf, visit: Visit, plan: Plan, barred: set[str]) -> BannerSlatePicks:
    """Fill the positions: by what is learned of click rates, or while too little is, by affinity.

    Ids in `barred` are never taken; the ids that stand there are not added.
    """
    placement, recipe, rules = plan.placement, plan.recipe, plan.rules
    taken = barred | visit.resting
    pinned = _pin(shelf, visit, rules, plan.k, taken)
    taken.update(pick.banner.id for pick, _ in pinned.picks.values())
    if rules is not None:
        taken |= rules.hidden_ids
    k = plan.k - len(pinned.picks)
    by_rule = {place: (pick, 1.0) for place, (pick, _) in pinned.picks.items()}
    cell = click_rates(visit, plan) if k > 0 else None
    if cell is not None:
        eligible = (
            pick
            for pick in banner_candidates(shelf, visit, plan)
            if pick.banner.id not in taken and may_stand(pick.banner, visit)
        )
        learned = pick_learned(eligible, visit, plan, cell, k)
        placed = weave(learned.placed, by_rule)
        return BannerSlatePicks(placed, learned.chosen, pinned, learned.candidates)
    explores = bool(placement.explore_share) and recipe != "static" and visit.unit is not None
    picks: list[BannerPick] = []
    wanted = 2 * k if explores else k
    for pick in banner_candidates(shelf, visit, plan) if wanted > 0 else ():
        if pick.banner.id not in taken and may_stand(pick.banner, visit):
            taken.add(pick.banner.id)
            picks.append(pick)
            if len(picks) == wanted:
                break
    chosen, following = picks[:k], picks[k:]
    unit = visit.unit
    if not explores or unit is None:
        return BannerSlatePicks(weave([(pick, 1.0) for pick in chosen], by_rule), chosen, pinned)
    pools = [following[place : place + 1] for place in range(len(chosen))]
    seed = draw_seed(unit.kind, unit.key, placement.id, visit.now_ms, resting=visit.resting)
    ranked = [
        (replace(pick, source=EXPLORED) if by_chance else pick, propensity)
        for pick, propensity, by_chance in explore(chosen, pools, placement.explore_share, seed)
    ]
    return BannerSlatePicks(weave(ranked, by_rule), chosen, pinned)


def ranked_banners(
    shelf: Shelf, visit: Visit, plan: Plan, taken: Collection[str]
) -> list[BannerPick]:
    """Give each banner that may stand once, in the order in which they are taken without chance.

    Those in `taken`, or at their cap, or hidden by a rule, are left out.
    """
    hidden: Collection[str] = () if plan.rules is None else plan.rules.hidden_ids
    away = {*taken, *visit.resting, *hidden}
    picks = [
        pick
        for pick in banner_candidates(shelf, visit, plan)
        if pick.banner.id not in away and may_stand(pick.banner, visit)
    ]
    cell = click_rates(visit, plan)
    if cell is not None:
        return pick_learned(picks, visit, plan, cell, MAX_LEARNED).chosen
    first: dict[str, BannerPick] = {}
    for pick in picks:
        first.setdefault(pick.banner.id, pick)
    return list(first.values())


def click_rates(visit: Visit, plan: Plan) -> Cell | None:
    """Find the click rates to choose by; nothing on a static list, or while too few are known."""
    if plan.recipe == "static" or visit.rates is None:
        return None
    return visit.rates.cell(plan.placement.id, visit.segment or "")


def may_stand(entry: CompiledBanner, visit: Visit) -> bool:
    """Say whether a banner's schedule and audience let this visitor see it now."""
    return entry.is_live(visit.now_ms) and (entry.audience is None or entry.audience(visit.visitor))


def _pin(
    shelf: Shelf, visit: Visit, rules: ActingRules | None, k: int, taken: Collection[str]
) -> PinnedBanners:
    picks: dict[int, tuple[BannerPick, Rule]] = {}
    skipped: list[Skipped] = []
    stand: set[str] = set()
    for position, pins in {} if rules is None else rules.pins.items():
        for rule in pins:
            ids = rule.select.banner_ids
            if position > k or position in picks:
                reason: SkipReason = "beyond_slate" if position > k else "outranked"
                by = picks[position][1].id if position in picks else None
                skipped.append(Skipped(rule, ids[0], reason, by))
                continue
            for banner_id in ids:
                found = banner_barrier(shelf, visit, rules, banner_id, {*taken, *stand})
                if found is None:
                    entry = shelf.banners.entries[shelf.banners.numbers[banner_id]]
                    picks[position] = (BannerPick(entry, "static", PIN, None), rule)
                    stand.add(banner_id)
                    break
                skipped.append(Skipped(rule, banner_id, *found))
    return PinnedBanners(picks, skipped)


def banner_barrier(
    shelf: Shelf,
    visit: Visit,
    rules: ActingRules | None,
    banner_id: str,
    taken: Collection[str],
) -> tuple[BannerBarrier, str | None] | None:
    """Say what keeps a banner off a slate, and the rule's id if it is one's."""
    number = shelf.banners.numbers.get(banner_id)
    hides = None if rules is None else rules.hides(-1, banner_id)
    if hides is not None:
        return "hidden_by_rule", hides.id
    if number is None:
        return "unavailable", None
    entry = shelf.banners.entries[number]
    if not entry.is_live(visit.now_ms):
        return "not_live", None
    if not may_stand(entry, visit):
        return "not_in_audience", None
    if banner_id in visit.resting:
        return "resting", None
    return ("barred", None) if banner_id in taken else None


def banner_candidates(shelf: Shelf, visit: Visit, plan: Plan) -> Iterator[BannerPick]:
    """Give the banners in the order in which they are taken; one may come several times."""
    table, placement, rules = shelf.banners, plan.placement, plan.rules
    if plan.recipe == "banner_for_you":
        for tier, source, ranked in _ranked(shelf, visit):
            # How well one fits is asked before a rule moves it, and only of those that are taken.
            moved = _moved(ranked, rules, shelf)
            affinities = None if moved is ranked else {number: score for score, number in ranked}
            for score, number in moved:
                entry = table.entries[number]
                affinity = score if affinities is None else affinities[number]
                fit = fit_of(source, affinity / entry.banner.weight)
                yield BannerPick(entry, tier, source, score, fit)
    no_fit = NO_FIT if plan.recipe == "banner_for_you" else None
    for banner_id in placement.static_ids:
        listed = table.numbers.get(banner_id)
        if listed is not None:
            yield BannerPick(table.entries[listed], "static", "static", None, no_fit)
    for _, number in _moved(table.by_weight, rules, shelf):
        yield BannerPick(table.entries[number], "static", "weight", None, no_fit)


def _moved(ranked: Ranked, rules: ActingRules | None, shelf: Shelf) -> Ranked:
    """Put a ranking in the order that boosts and buries give it."""
    if rules is None or not rules.factors:
        return ranked
    entries = shelf.banners.entries
    moved = [
        (round(score * rules.factor_of_id(entries[number].id), 6), number)
        for score, number in ranked
    ]
    return sorted(moved, key=lambda one: -one[0])


def _ranked(shelf: Shelf, visit: Visit) -> Iterator[tuple[Tier, str, Ranked]]:
    profile, rows = visit.profile, visit.context_rows
    if profile is not None and profile.speaks:
        if not profile.has_banners(shelf) and visit.is_late():
            visit.trouble = "deadline"
        else:
            yield "personal", "affinity", profile.banners(shelf)
    if rows:
        yield "segment", "page", _rank_alike(shelf, rows)
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
        ranked = _rank_alike(shelf, layer.rows[:MAX_PRIOR_ITEMS])
        shelf.banner_priors[key] = ranked
    return ranked


def _rank_alike(shelf: Shelf, rows: list[int]) -> Ranked:
    """Rank the banners for items that all count the same."""
    return shelf.banners.rank(np.array(rows), np.full(len(rows), 1 / len(rows)))
