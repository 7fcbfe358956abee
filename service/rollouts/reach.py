"""Whom a change of a rollout would move, tried on visitors who were there lately. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from service.rollouts.compiled import CompiledRollout
from service.rollouts.conditions import Condition
from service.rollouts.definition import CONTROL
from service.rollouts.evaluate import evaluate
from service.rollouts.visitor import Members, Person, Unit, Visitor
from service.stores.known_visitors import KnownVisitor

MAX_UNITS = 50_000
MAX_GROUPS = 50
"""Countries, channels, platforms or segments that are told, the largest first."""
CONTEXT = ("platform", "channel", "country")
"""What an exposure keeps of the context of its request."""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """Units, and what the change would do to them."""

    units: int
    treated_before: int
    treated_after: int
    gain: Annotated[int, Meta(description="in control now, treated then")]
    lose: Annotated[int, Meta(description="treated now, in control then")]
    flip: Annotated[int, Meta(description="treated otherwise than now")]


class Group(Moved, frozen=True, kw_only=True):
    """The units with one value."""

    value: Annotated[str | None, Meta(description="null for units without one")]


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What a change would do to the units that are known."""

    all: Moved
    by_platform: list[Group]
    by_channel: list[Group]
    by_country: list[Group]
    by_segment: Annotated[list[Group], Meta(description="a unit may be in several")]
    unknown_attributes: Annotated[
        list[str],
        Meta(description="asked by an audience and not kept with exposures; here they are absent"),
    ]


class _Count:
    """One group while it is counted."""

    __slots__ = ("after", "before", "flip", "gain", "lose", "units")

    def __init__(self) -> None:
        self.units = self.before = self.after = self.gain = self.lose = self.flip = 0

    def add(self, before: str, after: str) -> None:
        was, will = before != CONTROL, after != CONTROL
        self.units += 1
        self.before += was
        self.after += will
        self.gain += will and not was
        self.lose += was and not will
        self.flip += was and will and before != after

    def fields(self) -> dict[str, int]:
        return {
            "units": self.units,
            "treated_before": self.before,
            "treated_after": self.after,
            "gain": self.gain,
            "lose": self.lose,
            "flip": self.flip,
        }


def measure_reach(
    before: CompiledRollout | None,
    after: CompiledRollout,
    visitors: Iterable[KnownVisitor],
    *,
    segments: Mapping[str, Members],
    now_ms: int,
) -> Reach:
    """Deal each unit by both rules; a unit counts once, as it was last seen.

    `visitors` come the newest first; after `MAX_UNITS` units the rest is left out.
    """
    whole = _Count()
    groups: dict[str, dict[str | None, _Count]] = {name: {} for name in (*CONTEXT, "segment")}
    seen: set[str] = set()
    for known in visitors:
        visitor = _visitor(known, segments, now_ms)
        unit = after.unit(visitor)
        if unit is None or unit.key in seen:
            continue
        seen.add(unit.key)
        was = CONTROL if before is None else evaluate(before, visitor).variant
        will = evaluate(after, visitor).variant
        counts = [whole]
        for name in CONTEXT:
            counts.append(groups[name].setdefault(getattr(known, name), _Count()))
        for key, members in segments.items():
            if members.has(known.user_key, known.anonymous_key):
                counts.append(groups["segment"].setdefault(key, _Count()))
        for count in counts:
            count.add(was, will)
        if len(seen) == MAX_UNITS:
            break
    asked: set[str] = set()
    for rollout in (before, after):
        if rollout is not None:
            asked |= _attributes(rollout.definition.audience)
    return Reach(
        all=Moved(**whole.fields()),
        by_platform=_largest(groups["platform"]),
        by_channel=_largest(groups["channel"]),
        by_country=_largest(groups["country"]),
        by_segment=_largest(groups["segment"]),
        unknown_attributes=sorted(asked - set(CONTEXT)),
    )


def _visitor(known: KnownVisitor, segments: Mapping[str, Members], now_ms: int) -> Visitor:
    kind = "user_id" if known.unit_kind == "user_id" else "anonymous_id"
    return Visitor(
        known.user_key,
        known.anonymous_key,
        now_ms=now_ms,
        attributes={name: getattr(known, name) for name in CONTEXT},
        segments=segments,
        person=Person(Unit(kind, known.unit_key)),  # type: ignore[arg-type]  # one of two literals
    )


def _largest(groups: dict[str | None, _Count]) -> list[Group]:
    ranked = sorted(groups.items(), key=lambda one: (-one[1].units, one[0] or ""))
    return [Group(value=value, **count.fields()) for value, count in ranked[:MAX_GROUPS]]


def _attributes(audience: Condition | None) -> set[str]:
    """List the attributes that an audience asks for."""

    def walk(value: Any) -> Iterable[str]:
        if isinstance(value, dict):
            if isinstance(value.get("attribute"), str):
                yield value["attribute"]
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                yield from walk(inner)

    return set(walk(msgspec.to_builtins(audience)))
