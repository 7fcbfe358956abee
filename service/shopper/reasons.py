"""Why a rollout gives somebody what it gives, in words for a colleague. Pure."""

from __future__ import annotations

from service.rollouts.assignment import Detail
from service.shopper.view import Arm

_DETAILS: dict[Detail, str] = {
    "KILLED": "the rollout was stopped by its kill switch",
    "SCHEDULE": "the rollout has not begun, or has ended",
    "NO_UNIT": "it deals devices, and no device of theirs is known",
    "FORCED": "forced for them by name",
    "AUDIENCE": "not in its audience",
    "PREREQUISITE": "another rollout gives a variant that it does not ask for",
    "HOLDOUT": "in the global holdout",
    "LAYER": "another rollout of the layer has them",
    "NOT_ENROLLED": "by the split, outside the share",
}


def why(arm: Arm) -> str:
    """Say why in a few words."""
    for detail, words in _DETAILS.items():
        if arm.detail == detail:
            return words
    if arm.reason == "DISABLED":
        return "the rollout is switched off"
    if arm.reason == "NO_UNIT":
        return _DETAILS["NO_UNIT"]
    return f"by the split, inside the share of {arm.share:.1%}"
