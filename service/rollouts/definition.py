"""A rollout as a merchandiser writes it: who gets which variant, and since which epoch."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.events import ExternalId
from service.rollouts.bucketing import UnitKind

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

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$",
        description="1 to 64 letters, digits, `_`, `.`, `:` or `-`, the first a letter or a digit",
    ),
]
UtcTime = Annotated[datetime, Meta(tz=True, description="ISO 8601 with an offset")]
Share = Annotated[
    float,
    Meta(
        ge=0,
        le=1,
        description="share of the units that are treated, 0 to 1, exact to 0.000001",
    ),
]
Label = Annotated[str, Meta(max_length=200, description="for people")]
Revision = Annotated[
    int,
    Meta(
        ge=0,
        description="set by the server; sent back with a change it must still be the current one",
    ),
]


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

    def __post_init__(self) -> None:
        if self.key == CONTROL:
            raise ValueError(
                f"variant {CONTROL!r} is every unit that is not treated; name a treatment otherwise"
            )


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
    starts_at: Annotated[UtcTime | None, Meta(description="treats nobody before")] = None
    ends_at: Annotated[UtcTime | None, Meta(description="treats nobody from then on")] = None
    revision: Revision = 0
    epoch: Annotated[
        int,
        Meta(
            ge=0,
            description="set by the server; a change of share, variants or schedule adds one",
        ),
    ] = 0

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
        check_schedule(self.starts_at, self.ends_at)

    @property
    def share_ppm(self) -> int:
        """The share in parts per million, which buckets are compared with."""
        return round(self.share * 1_000_000)


def check_schedule(starts_at: datetime | None, ends_at: datetime | None) -> None:
    """Raise `ValueError` unless the start lies before the end."""
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise ValueError(
            f"ends_at {ends_at.isoformat()} is not after starts_at {starts_at.isoformat()}; "
            "swap them or leave one out"
        )


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
    )
