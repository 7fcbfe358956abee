"""What slates of items and of banners share: memory, how personal they came out, what failed."""

from __future__ import annotations

import msgspec

from service.exposure import Shown, Tier
from service.rollouts.assignment import Assignment
from service.rollouts.definition import Recipe
from service.serve.page import Degraded, RolloutAnswer, RuleNote
from service.serve.plan import Plan
from service.serve.recipes import wished_tier
from service.serve.remembered import Filled, Key, RememberedSlates, Served
from service.serve.shelf import Shelf
from service.serve.visit import Visit

_RANK: dict[Tier, int] = {"personal": 0, "segment": 1, "popular": 2, "static": 3}


def memory_for(
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


def make_filled(
    served: list[Served],
    shown: list[Shown],
    tier: Tier,
    degraded: Degraded | None,
    notes: tuple[RuleNote, ...] | msgspec.UnsetType,
) -> Filled[Served]:
    """Put together what stands in a placement."""
    ids = tuple([one.id for one in shown])
    return Filled(tuple(served), tuple(shown), ids, tier, degraded, notes)


def most_personal(tiers: set[Tier]) -> Tier:
    """Return the highest tier that gave something; of an empty slate, the lowest."""
    if len(tiers) == 1:  # nearly always
        return next(iter(tiers))
    return min(tiers, key=_RANK.__getitem__, default="static")


def what_failed(shelf: Shelf, visit: Visit, recipe: Recipe, tiers: set[Tier]) -> Degraded | None:
    """Say what failed. Someone unknown, or without consent, is no failure."""
    if recipe == "static":
        # A short list that is topped up is what was asked for.
        return None if "static" in tiers else "no_candidates"
    if shelf.stock is None:
        return "no_model"
    wished = wished_tier(recipe)
    if wished == "personal" and visit.trouble is not None:
        return visit.trouble
    tier = most_personal(tiers)
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


def rollout_answer(assignment: Assignment | None) -> RolloutAnswer | None:
    """Say what a rollout decided, if there is one."""
    if assignment is None:
        return None
    return RolloutAnswer(
        key=assignment.key,
        variant=assignment.variant,
        reason=assignment.reason,
        epoch=assignment.epoch,
        detail=assignment.detail,
    )
