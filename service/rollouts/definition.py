"""A rollout as a merchandiser writes it: who gets which variant, and since which epoch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import force_setattr

from models.events import ExternalId
from service.rollouts.bucketing import UnitKind
from service.rollouts.conditions import Condition, check_audience
from service.rollouts.fields import Label, Name, Revision, Share, ppm_of
from service.rollouts.layer import LayerShare
from service.rollouts.ramp import Ramp
from service.rollouts.schedule import ScheduleTime, TimeZone, check_schedule
from service.rollouts.values import ValueType, typed_value

CONTROL = "control"
"""The variant of every unit that the rollout does not treat."""

Recipe = Literal[
    "for_you",
    "similar_items",
    "bought_together",
    "trending",
    "recently_viewed",
    "static",
    "banner_for_you",
]
"""How a placement is filled."""


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One treatment of a rollout."""

    key: Name
    weight: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="share of the treated units, beside the other weights",
        ),
    ] = 1
    recipe: Annotated[
        Recipe | None,
        Meta(description="fills the placement; without it, the placement's own recipe does"),
    ] = None
    banner_ids: Annotated[
        tuple[ExternalId, ...],
        Meta(max_length=100, description="fills a placement of banners with these, in this order"),
    ] = ()
    value: Annotated[
        Any | UnsetType,
        Meta(description="what a flag answers; of the rollout's `value_type`"),
    ] = UNSET

    def __post_init__(self) -> None:
        if self.key == CONTROL:
            raise ValueError(
                f"variant {CONTROL!r} is every unit that is not treated; name a treatment otherwise"
            )


class Prerequisite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another rollout in which the visitor must have one of these variants."""

    rollout: Name
    variants: Annotated[
        tuple[Name, ...], Meta(min_length=1, max_length=21, description="`control` may be one")
    ]


class Rollout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which share of the units is treated, and how. Everyone else is in the variant `control`."""

    key: Annotated[str, Meta(description="set from the path")] = ""
    name: Label | None = None
    share: Share
    enabled: Annotated[bool, Meta(description="false puts everyone in control at once")] = True
    variants: Annotated[
        tuple[Variant, ...],
        Meta(
            min_length=1,
            max_length=20,
            description="the treatments; control is not listed",
        ),
    ] = (Variant(key="personal"),)
    unit: Annotated[
        UnitKind,
        Meta(description="what is hashed: `user_id`, else anonymous_id; or always `anonymous_id`"),
    ] = "user_id"
    salt: Annotated[
        ExternalId | None, Meta(description="hashed with the unit; the key if absent")
    ] = None
    forced: Annotated[
        dict[str, str],
        Meta(
            max_length=1000,
            description="variant by unit, for previews. A key is an id of the rollout's unit, or "
            "`user_id:ID` or `anonymous_id:ID`; the server keeps and shows only its pseudonym, "
            "`user_key:…` or `anonymous_key:…`",
        ),
    ] = {}  # msgspec copies an empty default for each struct
    audience: Annotated[
        Condition | None, Meta(description="only visitors for whom it holds are enrolled")
    ] = None
    prerequisites: Annotated[
        tuple[Prerequisite, ...], Meta(max_length=20, description="each of them must be met")
    ] = ()
    layer: Annotated[
        LayerShare | None, Meta(description="only units in these slots are enrolled")
    ] = None
    holdout: Annotated[
        bool, Meta(description="false reaches the units of the global holdout too")
    ] = True
    value_type: Annotated[
        ValueType | None,
        Meta(description="makes it a flag whose variants carry values; else it answers variants"),
    ] = None
    control_value: Annotated[
        Any | UnsetType,
        Meta(description="what the flag answers in control; the code's own default if absent"),
    ] = UNSET
    starts_at: Annotated[ScheduleTime | None, Meta(description="treats nobody before")] = None
    ends_at: Annotated[ScheduleTime | None, Meta(description="treats nobody from then on")] = None
    time_zone: TimeZone | None = None
    ramp: Annotated[
        Ramp | None, Meta(description="the shares that it climbs by itself, while guardrails hold")
    ] = None
    approval: Annotated[
        bool, Meta(description="a change, but a kill, waits until another key approves it")
    ] = False
    killed: Annotated[
        bool, Meta(description="everyone is in control until it is resumed; see `/kill`")
    ] = False
    revision: Revision = 0
    epoch: Annotated[
        int,
        Meta(
            ge=0,
            description="set by the server; a change of who is treated how adds one",
        ),
    ] = 0

    phase: Annotated[
        int,
        Meta(ge=1, description="set by the server; another salt or unit deals anew and adds one"),
    ] = 1

    def __post_init__(self) -> None:
        keys = [variant.key for variant in self.variants]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"variant {twice[0]!r} is listed twice; a variant key is used once")
        if not any(variant.weight for variant in self.variants):
            raise ValueError("every variant has weight 0; give at least one a weight above 0")
        for variant in self.forced.values():
            if variant != CONTROL and variant not in keys:
                raise ValueError(
                    f"forced variant {variant!r} is not one of {', '.join([*keys, CONTROL])}"
                )
        check_schedule(self.starts_at, self.ends_at, self.time_zone)
        if self.audience is not None:
            check_audience(self.audience)
        self._check_prerequisites()
        self._check_values()

    def _check_prerequisites(self) -> None:
        required = [one.rollout for one in self.prerequisites]
        twice = sorted({key for key in required if required.count(key) > 1})
        if twice:
            raise ValueError(f"prerequisite {twice[0]!r} is listed twice; put its variants in one")

    def _check_values(self) -> None:
        """Hold every value to the declared type, and give it the form that the type is written in.

        A float may come as ``1``, and must go out as ``1.0``.
        """
        carrying = [variant for variant in self.variants if variant.value is not UNSET]
        if self.value_type is None:
            if carrying or self.control_value is not UNSET:
                raise ValueError("a value needs value_type; declare one, such as 'boolean'")
            return
        if len(carrying) < len(self.variants):
            missing = next(one.key for one in self.variants if one.value is UNSET)
            raise ValueError(
                f"variant {missing!r} has no value, which value_type {self.value_type!r} asks "
                "of each; give it one, or leave value_type out"
            )
        typed = tuple(
            msgspec.structs.replace(
                one, value=typed_value(f"value of {one.key!r}", one.value, self.value_type)
            )
            for one in self.variants
        )
        force_setattr(self, "variants", typed)
        if self.control_value is not UNSET:
            value = typed_value("control_value", self.control_value, self.value_type)
            force_setattr(self, "control_value", value)

    @property
    def share_ppm(self) -> int:
        """The share in parts per million, which buckets are compared with."""
        return ppm_of(self.share)


def opens_epoch(before: Rollout, after: Rollout) -> bool:
    """Say whether who is treated how changes, so that figures on both sides cannot be pooled."""
    return _assignment_rule(before) != _assignment_rule(after)


def _assignment_rule(rollout: Rollout) -> tuple[object, ...]:
    return (
        rollout.share_ppm,
        rollout.enabled,
        rollout.unit,
        rollout.salt or rollout.key,
        rollout.variants,
        rollout.starts_at,
        rollout.ends_at,
        rollout.time_zone,
        rollout.killed,
        rollout.audience,
        rollout.prerequisites,
        rollout.layer,
        rollout.holdout,
        rollout.value_type,
        rollout.control_value,
    )
