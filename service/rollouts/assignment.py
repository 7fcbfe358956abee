"""What a rollout decided for a visitor, and why: a reason of the OpenFeature kind, then a detail.

======================  =================  ========================================================
detail                  reason             the visitor is in control because
======================  =================  ========================================================
(none)                  ``DISABLED``       the rollout is switched off
``KILLED``              ``DISABLED``       it was killed, and not resumed
``SCHEDULE``            ``DISABLED``       it has not begun, or has ended
``NO_UNIT``             ``NO_UNIT``        there is no id that could be hashed
``AUDIENCE``            ``STATIC``         the audience does not hold
``PREREQUISITE``        ``DISABLED``       another rollout gave a variant that is not asked for
``HOLDOUT``             ``STATIC``         the unit is in the global holdout
``LAYER``               ``STATIC``         the unit is in a slot of the layer that is not its own
``NOT_ENROLLED``        ``SPLIT``          the unit's bucket is beyond the share
======================  =================  ========================================================

Otherwise the visitor is treated: ``SPLIT`` by the buckets, or ``TARGETING_MATCH`` with ``FORCED``.
``SPLIT`` is given to both sides of an experiment and to nobody else: a report counts these.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Reason = Literal["SPLIT", "DISABLED", "STATIC", "TARGETING_MATCH", "NO_UNIT"]
Detail = Literal[
    "KILLED",
    "SCHEDULE",
    "NO_UNIT",
    "FORCED",
    "AUDIENCE",
    "PREREQUISITE",
    "HOLDOUT",
    "LAYER",
    "NOT_ENROLLED",
]


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """What a rollout decided for a visitor, and why."""

    key: str
    variant: str
    reason: Reason
    epoch: int
    detail: Detail | None = None

    @property
    def logged_reason(self) -> str:
        """What an exposure keeps: ``SPLIT`` for both sides of the split, else the finer word."""
        return self.reason if self.reason == "SPLIT" else self.detail or self.reason
