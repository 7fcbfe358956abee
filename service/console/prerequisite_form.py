"""What a rollout requires of others as fields of a form: choices of a rollout and a variant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from service.console.form import Form, FormError
from service.rollouts.definition import CONTROL, Rollout


def prerequisite_fields(rollout: Rollout) -> tuple[str, ...]:
    """Write each variant that is let in as one choice."""
    return tuple(
        _choice(one.rollout, variant) for one in rollout.prerequisites for variant in one.variants
    )


def prerequisite_choices(
    rollout: Rollout, others: Iterable[Rollout]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """List what may be chosen: a group for each other rollout, its variants in it."""
    return [
        (
            other.name or other.key,
            [
                (_choice(other.key, variant), f"{other.name or other.key} is {variant}")
                for variant in (*(one.key for one in other.variants), CONTROL)
            ],
        )
        for other in others
        if other.key != rollout.key
    ]


def read_prerequisites(form: Form) -> list[dict[str, Any]]:
    """Read the choices; several variants of one rollout are alternatives.

    Raises
    ------
    FormError
        If one of them is no choice of the form.
    """
    found: dict[str, list[str]] = {}
    for chosen in filter(None, form.all("prerequisite")):
        rollout, space, variant = chosen.partition(" ")
        if not space or not variant:
            raise FormError("prerequisites", f"{chosen!r} is no rollout with a variant")
        variants = found.setdefault(rollout, [])
        if variant not in variants:
            variants.append(variant)
    return [{"rollout": rollout, "variants": variants} for rollout, variants in found.items()]


def _choice(rollout: str, variant: str) -> str:
    # Neither name can hold a space.
    return f"{rollout} {variant}"
