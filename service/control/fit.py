"""Whether placements and the rollouts they follow fit together: a variant may name a recipe."""

from __future__ import annotations

from collections.abc import Iterable

from models.errors import InputError
from service.control.documents import Placement, recipes_of
from service.rollouts.definition import Rollout


def check_fit(placements: Iterable[Placement], rollout: Rollout) -> None:
    """Raise `InputError` if a variant's recipe cannot fill a placement that follows the rollout."""
    for placement in placements:
        if rollout_key_of(placement) != rollout.key:
            continue
        allowed = recipes_of(placement.kind)
        for variant in rollout.variants:
            if variant.recipe is not None and variant.recipe not in allowed:
                raise InputError(
                    f"variant {variant.key!r} of rollout {rollout.key!r} has the recipe "
                    f"{variant.recipe!r}, which does not fill placement {placement.id!r} of kind "
                    f"{placement.kind!r}; use one of {', '.join(sorted(allowed))}, or leave it out"
                )


def rollout_key_of(placement: Placement) -> str:
    """Name the rollout that a placement follows, if there is one of that key."""
    return placement.id if placement.rollout is None else placement.rollout
