"""A plan: how one placement of a request is to be filled, once its rollout has spoken."""

from __future__ import annotations

import msgspec

from service.control.documents import BANNER_RECIPES, ITEM_RECIPES, Placement, PlacementKind
from service.rollouts.assignment import Assignment
from service.rollouts.compiled import CompiledRollout
from service.rollouts.definition import CONTROL, Recipe
from service.rollouts.evaluate import evaluate, has_crossed
from service.rollouts.visitor import Unit
from service.serve.request import PlacementRequest
from service.serve.rules import ActingRules
from service.serve.shelf import Shelf
from service.serve.visit import Visit

_FITTING: dict[PlacementKind, frozenset[Recipe]] = {
    "items": ITEM_RECIPES,
    "banners": BANNER_RECIPES,
}


class Plan(msgspec.Struct, frozen=True, gc=False):
    """What fills one placement, and why."""

    placement: Placement
    assignment: Assignment | None
    unit: Unit | None
    """What the rollout hashed; without one, whom a rollout would."""
    recipe: Recipe
    k: int
    exposure_id: str
    crossover: bool
    """Whether the visitor, as another unit that they are too, is dealt another variant."""
    rules: ActingRules | None = None
    """What merchandisers want of it, if anything."""
    names_banners: bool = False
    """Whether the variant says which banners fill the placement."""


def make_plan(
    shelf: Shelf, visit: Visit, placement: Placement, asked: PlacementRequest, exposure_id: str
) -> Plan:
    """Choose the recipe: the static list for control, else the variant's, else the placement's.

    A placement may have other recipes for some audiences.

    A variant that names banners fills a placement of banners with them, as a static list.
    """
    visitor = visit.visitor
    recipe, assignment, unit = placement.main_recipe, None, visitor.person.unit
    if placement.recipes:
        recipe = shelf.recipe_for(placement, visitor)
    crossover = names_banners = False
    rollout = shelf.configuration.rollout_of(placement)
    if rollout is not None:
        unit = rollout.unit(visitor)
        forced = _forced(rollout, visit) if visit.is_preview else None
        assignment = evaluate(rollout, visitor) if forced is None else forced
        crossover = has_crossed(rollout, visitor, assignment)
        variant = assignment.variant
        named = rollout.recipes.get(variant)
        banner_ids = rollout.banner_ids.get(variant)
        if variant == CONTROL:
            recipe = "static"
        elif banner_ids is not None and placement.kind == "banners":
            recipe, names_banners = "static", True
            placement = msgspec.structs.replace(placement, static_ids=banner_ids)
        elif named is not None and named in _FITTING[placement.kind]:
            recipe = named
    k = placement.size if asked.count is None else asked.count
    rules = shelf.rules.acting(visit, placement, recipe, assignment)
    return Plan(
        placement, assignment, unit, recipe, k, exposure_id, crossover, rules, names_banners
    )


def _forced(rollout: CompiledRollout, visit: Visit) -> Assignment | None:
    """Give the variant that a preview asks for."""
    variant = visit.forced.get(rollout.key)
    if variant is None:
        return None
    return Assignment(rollout.key, variant, "TARGETING_MATCH", rollout.epoch, "FORCED")
