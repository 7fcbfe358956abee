"""What a flag answers to a visitor in the words of the OpenFeature remote evaluation protocol."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET

from service.rollouts.assignment import Assignment
from service.rollouts.compiled import CompiledRollout
from service.rollouts.evaluate import evaluate
from service.rollouts.visitor import Visitor

WireReason = Literal["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"]
Metadata = dict[str, str | int]


class FlagAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One flag for one visitor. Without a value, the code's own default holds."""

    key: str
    reason: WireReason
    variant: str
    value: Any = UNSET
    metadata: Metadata


def answer_flag(rollout: CompiledRollout, visitor: Visitor) -> FlagAnswer:
    """Evaluate one flag."""
    assignment = evaluate(rollout, visitor)
    metadata: Metadata = {
        "epoch": assignment.epoch,
        "revision": rollout.definition.revision,
        "valueType": rollout.value_type or "string",
    }
    if assignment.detail is not None:
        metadata["detail"] = assignment.detail
    return FlagAnswer(
        key=rollout.key,
        reason=wire_reason(rollout, assignment),
        variant=assignment.variant,
        value=rollout.values.get(assignment.variant, UNSET),
        metadata=metadata,
    )


def wire_reason(rollout: CompiledRollout, assignment: Assignment) -> WireReason:
    """Say why in the protocol's five words.

    Where nothing is drawn, because everyone whom the audience lets in has the one variant, it is
    the audience that decided, or nothing.
    """
    if assignment.reason == "NO_UNIT":
        return "UNKNOWN"
    if assignment.reason == "SPLIT" and rollout.is_certain:
        return "STATIC" if rollout.audience is None else "TARGETING_MATCH"
    return assignment.reason
