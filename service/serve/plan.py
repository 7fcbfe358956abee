"""A plan: how one placement of a request is to be filled, once its rollout has spoken."""

from __future__ import annotations

from typing import NamedTuple

from service.control.documents import BANNER_RECIPES, ITEM_RECIPES, Placement, PlacementKind
from service.rollouts.definition import CONTROL, Recipe
from service.rollouts.evaluate import Assignment, Unit, evaluate
from service.serve.request import PlacementRequest
from service.serve.shelf import Shelf
from service.serve.visit import Visit

_FITTING: dict[PlacementKind, frozenset[Recipe]] = {
    "items": ITEM_RECIPES,
    "banners": BANNER_RECIPES,
}


class Plan(NamedTuple):
    """What fills one placement, and why."""

    placement: Placement
    assignment: Assignment | None
    unit: Unit | None
    """What the rollout hashed; without one, whom a rollout would."""
    recipe: Recipe
    k: int
    exposure_id: str


def make_plan(
    shelf: Shelf, visit: Visit, placement: Placement, asked: PlacementRequest, exposure_id: str
) -> Plan:
    """Choose the recipe: the static list for control, else the variant's, else the placement's."""
    recipe, assignment, unit = placement.main_recipe, None, visit.unit
    rollout = shelf.configuration.rollout_of(placement)
    if rollout is not None:
        unit = rollout.unit(visit.user_key, visit.anonymous_key)
        assignment = evaluate(rollout, unit, visit.now_ms)
        named = rollout.recipes.get(assignment.variant)
        if assignment.variant == CONTROL:
            recipe = "static"
        elif named is not None and named in _FITTING[placement.kind]:
            recipe = named
    k = placement.size if asked.count is None else asked.count
    return Plan(placement, assignment, unit, recipe, k, exposure_id)
