"""Layers, in which rollouts never share a unit, and the global holdout, which none of them reaches.

A layer is a line of slots. A rollout owns some of them, and reaches only the units that fall there;
the store lets no two rollouts own one slot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from models.events import ExternalId
from service.rollouts.bucketing import UnitKind
from service.rollouts.fields import Label, Name, Revision, Share, ppm_of

MAX_SLOTS = 10_000
HOLDOUT_ID = "global"

Slot = Annotated[int, Meta(ge=0, lt=MAX_SLOTS)]
SlotRange = Annotated[tuple[Slot, Slot], Meta(description="first and last slot, both included")]


class Layer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of slots that rollouts divide among themselves."""

    key: Annotated[str, Meta(description="set from the path")] = ""
    name: Label | None = None
    n_slots: Annotated[
        int, Meta(ge=1, le=MAX_SLOTS, description="fixed while a rollout owns a slot")
    ] = 1000
    rest_days: Annotated[
        float,
        Meta(
            ge=0,
            le=365,
            description="how long a slot that a rollout gave back stays empty, so that what its "
            "units saw wears off before another rollout meets them",
        ),
    ] = 7.0
    unit: Annotated[UnitKind, Meta(description="must be the unit of every rollout in it")] = (
        "user_id"
    )
    salt: Annotated[
        ExternalId | None,
        Meta(description="hashed with the unit; the key if absent; fixed while a slot is owned"),
    ] = None
    revision: Revision = 0


class LayerShare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which slots of which layer a rollout owns."""

    key: Name
    slots: Annotated[
        tuple[SlotRange, ...],
        Meta(min_length=1, max_length=100, description="ranges that do not overlap"),
    ]

    def __post_init__(self) -> None:
        seen: set[int] = set()
        for first, last in self.slots:
            if last < first:
                raise ValueError(f"slots [{first}, {last}] end before they begin; swap them")
            numbers = range(first, last + 1)
            twice = seen.intersection(numbers)
            if twice:
                raise ValueError(f"slot {min(twice)} is listed twice; list each once")
            seen.update(numbers)

    @property
    def numbers(self) -> frozenset[int]:
        """Every slot in the ranges."""
        return frozenset(slot for first, last in self.slots for slot in range(first, last + 1))


class Holdout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The share of all units that no rollout treats, so that the sum of them can be measured."""

    id: Annotated[str, Meta(description="always `global`")] = ""
    share: Share
    salt: Annotated[
        ExternalId, Meta(description="hashed with the unit; another one chooses other units")
    ] = HOLDOUT_ID
    revision: Revision = 0

    @property
    def share_ppm(self) -> int:
        """The share in parts per million."""
        return ppm_of(self.share)


def ranges_of(slots: Iterable[int]) -> list[SlotRange]:
    """Write slots as ranges, in order."""
    ranges: list[tuple[int, int]] = []
    for slot in sorted(slots):
        if ranges and slot == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], slot)
        else:
            ranges.append((slot, slot))
    return ranges
