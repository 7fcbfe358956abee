"""An audience in words, and as the few fields that most audiences need."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from service.rollouts.conditions import (
    After,
    All,
    AnyOf,
    Before,
    Condition,
    EndsWith,
    Equals,
    Exists,
    In,
    InSegment,
    Not,
    NotIn,
    Range,
    StartsWith,
    VersionRange,
)

SIMPLE = ("country", "platform", "channel")
"""Attributes that have a field of their own."""
SEGMENT = "segment"


def audience_words(audience: Condition | None) -> str:
    """Say in a sentence whom an audience lets in."""
    return "everyone" if audience is None else _words(audience)


def simple_fields(audience: Condition | None) -> dict[str, list[str]] | None:
    """Return the values by field if fields can say it all, or nothing."""
    fields: dict[str, list[str]] = {name: [] for name in (*SIMPLE, SEGMENT)}
    if audience is None:
        return fields
    for one in audience.of if isinstance(audience, All) else (audience,):
        name, values = _simple(one)
        if name is None or fields[name]:
            return None
        fields[name] = values
    return fields


def audience_of(fields: dict[str, list[str]]) -> Any:
    """Write fields as an audience in JSON; nothing if all are empty."""
    conditions: list[Any] = [
        {"op": "in", "attribute": name, "values": fields[name]}
        for name in SIMPLE
        if fields.get(name)
    ]
    segments = [{"op": "segment", "segment": one} for one in fields.get(SEGMENT, [])]
    if segments:
        conditions.append(segments[0] if len(segments) == 1 else {"op": "any", "of": segments})
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else {"op": "all", "of": conditions}


def _simple(one: Condition) -> tuple[str | None, list[str]]:
    if isinstance(one, In) and one.attribute in SIMPLE:
        if all(isinstance(value, str) for value in one.values):
            return one.attribute, [str(value) for value in one.values]
    elif isinstance(one, Equals) and one.attribute in SIMPLE and isinstance(one.value, str):
        return one.attribute, [one.value]
    elif isinstance(one, InSegment):
        return SEGMENT, [one.segment]
    elif isinstance(one, AnyOf) and all(isinstance(each, InSegment) for each in one.of):
        return SEGMENT, [each.segment for each in one.of if isinstance(each, InSegment)]
    return None, []


def _words(one: Condition) -> str:  # noqa: PLR0911, PLR0912  # one branch for each kind of condition
    match one:
        case All():
            return " and ".join(_nested(each, AnyOf) for each in one.of)
        case AnyOf():
            return " or ".join(_nested(each, All) for each in one.of)
        case Not():
            return f"not ({_words(one.of)})"
        case Equals():
            return f"{one.attribute} is {one.value}"
        case In():
            return f"{one.attribute} is {_either(one.values)}"
        case NotIn():
            return f"{one.attribute} is not {_either(one.values)}"
        case Exists():
            return f"{one.attribute} is known"
        case Range() | VersionRange():
            return f"{one.attribute} is {_bounds(one)}"
        case StartsWith():
            return f"{one.attribute} begins with {_either(one.values)}"
        case EndsWith():
            return f"{one.attribute} ends with {_either(one.values)}"
        case Before():
            return f"{one.attribute or 'now'} is before {_moment(one.at)}"
        case After():
            return f"{one.attribute or 'now'} is not before {_moment(one.at)}"
        case InSegment():
            return f"in segment {one.segment}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _nested(one: Condition, other: type) -> str:
    return f"({_words(one)})" if isinstance(one, other) else _words(one)


def _either(values: Sequence[object]) -> str:
    shown = [str(value) for value in values[:6]]
    if len(values) > len(shown):
        return f"{', '.join(shown)} or {len(values) - len(shown)} more"
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def _bounds(one: Range | VersionRange) -> str:
    named = (
        ("at least", one.at_least),
        ("above", one.above),
        ("at most", one.at_most),
        ("below", one.below),
    )
    return " and ".join(f"{name} {bound}" for name, bound in named if bound is not None)
