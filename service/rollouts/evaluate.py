"""Which variant a visitor gets: a pure function of the compiled rollout, the visitor and the time.

Off, schedule, unit, forced unit, audience, prerequisites; then four stages that each draw a bucket
of their own: holdout → layer → enrolment → arm. See `assignment` for the reasons.
"""

from __future__ import annotations

from service.rollouts.assignment import Assignment
from service.rollouts.bucketing import BUCKETS, UnitKind, bucket_of
from service.rollouts.compiled import CompiledRollout
from service.rollouts.visitor import Unit, Visitor

_FORCED_PREFIX: dict[UnitKind, str] = {
    "user_id": "user_key:",
    "anonymous_id": "anonymous_key:",
}


def evaluate(  # noqa: PLR0911  # one a reason
    rollout: CompiledRollout, visitor: Visitor
) -> Assignment:
    """Assign a variant: control unless treated; without a unit nothing is drawn."""
    if rollout.off is not None:
        return rollout.off
    if not rollout.starts_at_ms <= visitor.now_ms < rollout.ends_at_ms:
        return rollout.outside["SCHEDULE"]
    unit = rollout.unit(visitor)
    if unit is None:
        return rollout.outside["NO_UNIT"]
    if rollout.forced:
        forced = rollout.forced.get(_FORCED_PREFIX[unit.kind] + unit.key)
        if forced is None and rollout.unit_kind == "user_id" and visitor.user_key is not None:
            # The user may be dealt as the visitor that they once were.
            forced = rollout.forced.get(_FORCED_PREFIX["user_id"] + visitor.user_key)
        if forced is not None:
            return forced
    if rollout.audience is not None and not rollout.audience(visitor):
        return rollout.outside["AUDIENCE"]
    for required, variants in rollout.prerequisites:
        if required is None or evaluate(required, visitor).variant not in variants:
            return rollout.outside["PREREQUISITE"]
    return _draw(rollout, visitor, unit)


def _draw(rollout: CompiledRollout, visitor: Visitor, unit: Unit) -> Assignment:
    held, layer = rollout.holdout, rollout.layer
    if held is not None and visitor.shared_digest(held.lines[unit.kind], unit) < held.bound:
        return rollout.outside["HOLDOUT"]
    if layer is not None:
        place = bucket_of(visitor.shared_digest(layer.lines[unit.kind], unit))
        if not layer.owned[place * len(layer.owned) // BUCKETS]:
            return rollout.outside["LAYER"]
    if visitor.digest(rollout.enrolment_lines[unit.kind], unit) >= rollout.enrolment_bound:
        return rollout.outside["NOT_ENROLLED"]
    if len(rollout.arms) == 1:
        return rollout.arms[0]
    digest = visitor.digest(rollout.arm_lines[unit.kind], unit)
    for arm, bound in rollout.bounded_arms:
        if digest < bound:
            return arm
    raise AssertionError("every digest lies below the last bound")


def has_crossed(rollout: CompiledRollout, visitor: Visitor, assignment: Assignment) -> bool:
    """Say whether the visitor, as another unit that they are too, is dealt another variant.

    Only rollouts over users are asked: one over anonymous visitors deals devices, not people.
    """
    others = visitor.person.others
    if not others or assignment.reason != "SPLIT" or rollout.unit_kind != "user_id":
        return False
    for other in others:
        dealt = _draw(rollout, visitor, other)
        if dealt.reason == "SPLIT" and dealt.variant != assignment.variant:
            return True
    return False
