"""Which variant a unit gets: a pure function of the compiled rollout, the unit and the time.

Stages, each with a bucket of its own: enrolment (is the unit treated?), then arm (how?).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Literal

import msgspec

from service.rollouts.bucketing import BUCKETS, UnitKind, bucket_under, salted
from service.rollouts.definition import CONTROL, Recipe, Rollout

Reason = Literal["SPLIT", "DISABLED", "STATIC", "TARGETING_MATCH", "NO_UNIT"]
Detail = Literal["NO_UNIT", "FORCED", "SCHEDULE", "NOT_ENROLLED"]

_FORCED_PREFIX: dict[UnitKind, str] = {
    "user_id": "user_key:",
    "anonymous_id": "anonymous_key:",
}


class Unit(msgspec.Struct, frozen=True, gc=False):
    """Whom a rollout hashes. `key` is the pseudonym of the id, as in `Exposure.unit_key`."""

    kind: UnitKind
    key: str


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """What a rollout decided for a unit, and why."""

    key: str
    variant: str
    reason: Reason
    epoch: int
    detail: Detail | None = None


@dataclass(frozen=True, slots=True)
class CompiledRollout:
    """A rollout with everything worked out that does not depend on the unit or the time."""

    key: str
    enabled: bool
    share_ppm: int
    salted: dict[UnitKind, bytes]
    """What is hashed before the unit's id, by kind of unit."""
    unit_kind: UnitKind
    epoch: int
    starts_at_ms: int | None
    ends_at_ms: int | None
    arms: tuple[str, ...]
    arm_bounds: tuple[int, ...]
    """Cumulated weights times a million: an arm has bucket · total weight below its bound."""
    total_weight: int
    recipes: dict[str, Recipe | None]
    """Variant, then the recipe that it fills a placement with, if it names one."""
    forced: dict[str, str]
    """``user_key:…`` or ``anonymous_key:…``, then the variant."""

    def unit(self, user_key: str | None, anonymous_key: str | None) -> Unit | None:
        """Choose whom to hash: the user, else the anonymous visitor; or always the latter."""
        if self.unit_kind == "user_id" and user_key is not None:
            return Unit("user_id", user_key)
        if anonymous_key is not None:
            return Unit("anonymous_id", anonymous_key)
        return None


def compile_rollout(rollout: Rollout) -> CompiledRollout:
    """Prepare a validated rollout for `evaluate`."""
    salt = rollout.salt or rollout.key
    weights = [variant.weight for variant in rollout.variants]
    return CompiledRollout(
        key=rollout.key,
        enabled=rollout.enabled,
        share_ppm=rollout.share_ppm,
        salted={
            "user_id": salted(salt, "user_id"),
            "anonymous_id": salted(salt, "anonymous_id"),
        },
        unit_kind=rollout.unit,
        epoch=rollout.epoch,
        starts_at_ms=_to_ms(rollout.starts_at),
        ends_at_ms=_to_ms(rollout.ends_at),
        arms=tuple(variant.key for variant in rollout.variants),
        arm_bounds=tuple(bound * BUCKETS for bound in accumulate(weights)),
        total_weight=sum(weights),
        recipes={variant.key: variant.recipe for variant in rollout.variants},
        forced=dict(rollout.forced),
    )


def evaluate(rollout: CompiledRollout, unit: Unit | None, now_ms: int) -> Assignment:
    """Assign a variant: control unless treated; without a unit nothing is drawn."""
    key, epoch = rollout.key, rollout.epoch
    if not rollout.enabled:
        return Assignment(key, CONTROL, "DISABLED", epoch)
    if not _is_running(rollout, now_ms):
        return Assignment(key, CONTROL, "DISABLED", epoch, "SCHEDULE")
    if unit is None:
        return Assignment(key, CONTROL, "NO_UNIT", epoch, "NO_UNIT")
    if rollout.forced:
        forced = rollout.forced.get(_FORCED_PREFIX[unit.kind] + unit.key)
        if forced is not None:
            return Assignment(key, forced, "TARGETING_MATCH", epoch, "FORCED")
    if bucket_under("enrolment", rollout.salted[unit.kind], unit.key) >= rollout.share_ppm:
        return Assignment(key, CONTROL, "SPLIT", epoch, "NOT_ENROLLED")
    return Assignment(key, _arm(rollout, unit), "SPLIT", epoch)


def _arm(rollout: CompiledRollout, unit: Unit) -> str:
    if len(rollout.arms) == 1:
        return rollout.arms[0]
    place = bucket_under("arm", rollout.salted[unit.kind], unit.key) * rollout.total_weight
    return next(
        arm for arm, bound in zip(rollout.arms, rollout.arm_bounds, strict=True) if place < bound
    )


def _is_running(rollout: CompiledRollout, now_ms: int) -> bool:
    return (rollout.starts_at_ms is None or now_ms >= rollout.starts_at_ms) and (
        rollout.ends_at_ms is None or now_ms < rollout.ends_at_ms
    )


def _to_ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
