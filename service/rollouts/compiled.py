"""A rollout with everything worked out that depends neither on the visitor nor on the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import Any

from msgspec import UNSET, UnsetType

from service.rollouts.assignment import Assignment, Detail, Reason
from service.rollouts.audience import Check, compile_audience
from service.rollouts.bucketing import BUCKETS, Stage, UnitKind, bound_of, line
from service.rollouts.conditions import After, Before, walk
from service.rollouts.definition import CONTROL, Recipe, Rollout
from service.rollouts.layer import Holdout, Layer
from service.rollouts.schedule import FOREVER_MS, schedule_ms
from service.rollouts.values import ValueType
from service.rollouts.visitor import Unit, Visitor

Lines = dict[UnitKind, blake2b]
"""The line of a stage, by kind of unit."""

_REASONS: dict[Detail, Reason] = {
    "KILLED": "DISABLED",
    "SCHEDULE": "DISABLED",
    "NO_UNIT": "NO_UNIT",
    "AUDIENCE": "STATIC",
    "PREREQUISITE": "DISABLED",
    "HOLDOUT": "STATIC",
    "LAYER": "STATIC",
    "NOT_ENROLLED": "SPLIT",
}


@dataclass(frozen=True, slots=True)
class CompiledHoldout:
    """The global holdout."""

    lines: Lines
    bound: bytes
    """Digests below it are held out."""


@dataclass(frozen=True, slots=True)
class CompiledLayer:
    """The slots of a layer that one rollout owns."""

    lines: Lines
    owned: bytes
    """One byte a slot: 1 if it is owned."""


@dataclass(frozen=True, slots=True)
class CompiledRollout:
    """One rollout, ready for `evaluate`."""

    definition: Rollout
    key: str
    epoch: int
    off: Assignment | None
    """The answer to everyone while it is switched off or killed."""
    starts_at_ms: int
    ends_at_ms: int
    unit_kind: UnitKind
    forced: dict[str, Assignment]
    """By ``user_key:…`` or ``anonymous_key:…``."""
    audience: Check | None
    prerequisites: tuple[tuple[CompiledRollout | None, frozenset[str]], ...]
    """What is required; nothing where it does not exist, which nobody meets."""
    holdout: CompiledHoldout | None
    layer: CompiledLayer | None
    enrolment_lines: Lines
    arm_lines: Lines
    share_ppm: int
    enrolment_bound: bytes
    """Digests below it are enrolled."""
    arms: tuple[Assignment, ...]
    bounded_arms: tuple[tuple[Assignment, bytes], ...]
    """Each arm with the bound that its digests lie below, and those of the arms before it do."""
    outside: dict[Detail, Assignment]
    """Control, by why."""
    recipes: dict[str, Recipe | None]
    """Variant, then the recipe that it fills a placement with, if it names one."""
    banner_ids: dict[str, tuple[str, ...]]
    """Variant, then the banners that it fills a placement with, if it names any."""
    values: dict[str, Any]
    """Variant, then its value; the variant itself without a type, nothing for the code's own."""

    def unit(self, visitor: Visitor) -> Unit | None:
        """Choose whom to hash: whom the visitor is dealt as; or always the anonymous visitor."""
        if self.unit_kind == "user_id":
            return visitor.person.unit
        if visitor.anonymous_key is None:
            return None
        return Unit("anonymous_id", visitor.anonymous_key)

    @property
    def value_type(self) -> ValueType | None:
        """The declared type of the values."""
        return self.definition.value_type

    @property
    def is_certain(self) -> bool:
        """Whether everyone whom the audience lets in has the same variant, so nothing is drawn."""
        return (
            self.share_ppm == BUCKETS
            and len(self.arms) == 1
            and self.holdout is None
            and self.layer is None
        )


def compile_rollouts(
    rollouts: Iterable[Rollout],
    layers: Mapping[str, Layer] | None = None,
    holdout: Holdout | None = None,
) -> dict[str, CompiledRollout]:
    """Prepare validated rollouts, each after those it requires."""
    waiting = {rollout.key: rollout for rollout in rollouts}
    held = _compile_holdout(holdout)
    done: dict[str, CompiledRollout] = {}

    def finish(rollout: Rollout, above: frozenset[str]) -> CompiledRollout:
        if rollout.key in done:
            return done[rollout.key]
        # A cycle is refused when it is written; if one is met all the same, nobody meets it.
        required: dict[str, CompiledRollout | None] = {
            one.rollout: finish(waiting[one.rollout], above | {rollout.key})
            if one.rollout in waiting and one.rollout not in above | {rollout.key}
            else None
            for one in rollout.prerequisites
        }
        compiled = _compile(rollout, required, layers or {}, held)
        done[rollout.key] = compiled
        return compiled

    return {key: finish(rollout, frozenset()) for key, rollout in waiting.items()}


def turning_points_ms(rollouts: Iterable[Rollout]) -> tuple[int, ...]:
    """List the moments, ascending, at which the time alone changes what a rollout answers."""
    points: set[int] = set()
    for rollout in rollouts:
        points.update(schedule_ms(rollout.starts_at, rollout.ends_at, rollout.time_zone))
        if rollout.audience is not None:
            points.update(
                int(one.at.timestamp() * 1000)
                for one, _ in walk(rollout.audience)
                if isinstance(one, Before | After) and one.attribute is None
            )
    return tuple(sorted(points - {-FOREVER_MS, FOREVER_MS}))


def compile_rollout(rollout: Rollout, holdout: Holdout | None = None) -> CompiledRollout:
    """Prepare one rollout that stands in no layer and requires nothing."""
    return compile_rollouts([rollout], holdout=holdout)[rollout.key]


def _compile(
    rollout: Rollout,
    required: Mapping[str, CompiledRollout | None],
    layers: Mapping[str, Layer],
    holdout: CompiledHoldout | None,
) -> CompiledRollout:
    weights = [variant.weight for variant in rollout.variants]
    starts_at_ms, ends_at_ms = schedule_ms(rollout.starts_at, rollout.ends_at, rollout.time_zone)
    key, epoch = rollout.key, rollout.epoch
    outside = {
        detail: Assignment(key, CONTROL, reason, epoch, detail)
        for detail, reason in _REASONS.items()
    }
    arms = tuple(Assignment(key, one.key, "SPLIT", epoch) for one in rollout.variants)
    off = None
    if rollout.killed:
        off = outside["KILLED"]
    elif not rollout.enabled:
        off = Assignment(key, CONTROL, "DISABLED", epoch)
    return CompiledRollout(
        definition=rollout,
        key=key,
        epoch=epoch,
        off=off,
        starts_at_ms=starts_at_ms,
        ends_at_ms=ends_at_ms,
        unit_kind=rollout.unit,
        forced={
            unit: Assignment(key, variant, "TARGETING_MATCH", epoch, "FORCED")
            for unit, variant in rollout.forced.items()
        },
        audience=None if rollout.audience is None else compile_audience(rollout.audience),
        prerequisites=tuple(
            (required[one.rollout], frozenset(one.variants)) for one in rollout.prerequisites
        ),
        holdout=holdout if rollout.holdout else None,
        layer=_compile_layer(rollout, layers),
        enrolment_lines=_lines("enrolment", rollout.salt or key),
        arm_lines=_lines("arm", rollout.salt or key),
        share_ppm=rollout.share_ppm,
        enrolment_bound=bound_of(rollout.share_ppm),
        arms=arms,
        bounded_arms=tuple(zip(arms, _arm_bounds(weights), strict=True)),
        outside=outside,
        recipes={one.key: one.recipe for one in rollout.variants},
        banner_ids={one.key: one.banner_ids for one in rollout.variants if one.banner_ids},
        values=_values(rollout),
    )


def _compile_layer(rollout: Rollout, layers: Mapping[str, Layer]) -> CompiledLayer | None:
    """Mark the owned slots; of a layer that does not exist, none is."""
    if rollout.layer is None:
        return None
    layer = layers.get(rollout.layer.key)
    if layer is None:
        return CompiledLayer(_lines("layer", rollout.layer.key), bytes(1))
    owned = rollout.layer.numbers
    return CompiledLayer(
        _lines("layer", layer.salt or layer.key),
        bytes(slot in owned for slot in range(layer.n_slots)),
    )


def _compile_holdout(holdout: Holdout | None) -> CompiledHoldout | None:
    if holdout is None or holdout.share_ppm == 0:
        return None
    return CompiledHoldout(_lines("holdout", holdout.salt), bound_of(holdout.share_ppm))


def _arm_bounds(weights: list[int]) -> list[bytes]:
    """Divide the million buckets by weight: bucket · total weight below the cumulated one."""
    total = sum(weights)
    return [bound_of(-(-cumulated * BUCKETS // total)) for cumulated in accumulate(weights)]


def _values(rollout: Rollout) -> dict[str, Any]:
    if rollout.value_type is None:
        return {CONTROL: CONTROL, **{one.key: one.key for one in rollout.variants}}
    values: dict[str, Any | UnsetType] = {one.key: one.value for one in rollout.variants}
    values[CONTROL] = rollout.control_value
    return {variant: value for variant, value in values.items() if value is not UNSET}


def _lines(stage: Stage, salt: str) -> Lines:
    return {
        "user_id": line(stage, salt, "user_id"),
        "anonymous_id": line(stage, salt, "anonymous_id"),
    }
