"""An audience as a merchandiser writes it: tests of the context, nested with all, any and not.

`audience` compiles it. A test of an attribute that the request does not have fails; `not` of it
then holds. Where an attribute is a list, one fitting element is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from service.rollouts.fields import Name
from service.rollouts.schedule import UtcTime
from service.rollouts.version import version_key

MAX_CONDITIONS = 200
MAX_DEPTH = 10

Attribute = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="`country`, `channel`, `platform`, `page`, `app_version`, or one of your own",
    ),
]
Text = Annotated[str, Meta(max_length=256)]
Scalar = bool | int | float | Text
Texts = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(min_length=1)
]
Version = Annotated[str, Meta(max_length=64, description="`4.2.0`, `4.2`, `4.2.0-rc.1`")]


class _Condition(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"
):
    """One test."""


class All(_Condition, frozen=True, kw_only=True, tag="all"):
    """Every one of these holds."""

    of: Annotated[tuple[Condition, ...], Meta(min_length=1)]


class AnyOf(_Condition, frozen=True, kw_only=True, tag="any"):
    """At least one of these holds."""

    of: Annotated[tuple[Condition, ...], Meta(min_length=1)]


class Not(_Condition, frozen=True, kw_only=True, tag="not"):
    """This does not hold."""

    of: Condition


class Equals(_Condition, frozen=True, kw_only=True, tag="equals"):
    """The attribute is this value, of this type."""

    attribute: Attribute
    value: Scalar


class In(_Condition, frozen=True, kw_only=True, tag="in"):
    """The attribute is one of these values."""

    attribute: Attribute
    values: Annotated[tuple[Scalar, ...], Meta(min_length=1, max_length=1000)]


class NotIn(_Condition, frozen=True, kw_only=True, tag="not_in"):
    """The attribute is none of these values, or absent."""

    attribute: Attribute
    values: Annotated[tuple[Scalar, ...], Meta(min_length=1, max_length=1000)]


class Exists(_Condition, frozen=True, kw_only=True, tag="exists"):
    """The attribute is there, and not null."""

    attribute: Attribute


class Range(_Condition, frozen=True, kw_only=True, tag="range"):
    """The attribute is a number inside these bounds."""

    attribute: Attribute
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        _check_bounded("range", (self.at_least, self.above, self.at_most, self.below))


class VersionRange(_Condition, frozen=True, kw_only=True, tag="version"):
    """The attribute is a version inside these bounds, by the order of Semantic Versioning."""

    attribute: Attribute = "app_version"
    at_least: Version | None = None
    above: Version | None = None
    at_most: Version | None = None
    below: Version | None = None

    def __post_init__(self) -> None:
        bounds = (self.at_least, self.above, self.at_most, self.below)
        _check_bounded("version", bounds)
        for bound in bounds:
            if bound is not None and version_key(bound) is None:
                raise ValueError(f"{bound!r} is not a version; write one such as 4.2.0")


class StartsWith(_Condition, frozen=True, kw_only=True, tag="starts_with"):
    """The attribute is a text that begins with one of these."""

    attribute: Attribute
    values: Texts


class EndsWith(_Condition, frozen=True, kw_only=True, tag="ends_with"):
    """The attribute is a text that ends with one of these."""

    attribute: Attribute
    values: Texts


class Before(_Condition, frozen=True, kw_only=True, tag="before"):
    """The attribute, ISO 8601 with an offset or epoch ms, is earlier; or, without one, now is."""

    at: UtcTime
    attribute: Attribute | None = None


class After(_Condition, frozen=True, kw_only=True, tag="after"):
    """The attribute, ISO 8601 with an offset or epoch ms, is this or later; or now is."""

    at: UtcTime
    attribute: Attribute | None = None


class InSegment(_Condition, frozen=True, kw_only=True, tag="segment"):
    """The unit is on this uploaded list, or in this segment of the model, `value:regular`."""

    segment: Name


Condition = (
    All
    | AnyOf
    | Not
    | Equals
    | In
    | NotIn
    | Exists
    | Range
    | VersionRange
    | StartsWith
    | EndsWith
    | Before
    | After
    | InSegment
)


def check_audience(audience: Condition) -> None:
    """Raise `ValueError` if an audience is too large to be evaluated in microseconds."""
    depths = [depth for _, depth in walk(audience)]
    n_conditions = len(depths)
    if max(depths) > MAX_DEPTH:
        raise ValueError(f"the audience is nested deeper than {MAX_DEPTH} levels; flatten it")
    if n_conditions > MAX_CONDITIONS:
        raise ValueError(
            f"the audience has {n_conditions} conditions; at most {MAX_CONDITIONS}; "
            "use `in` with many values, or an uploaded list"
        )


def segments_of(audience: Condition | None) -> set[str]:
    """Name the uploaded lists that an audience asks."""
    if audience is None:
        return set()
    return {one.segment for one, _ in walk(audience) if isinstance(one, InSegment)}


def empty_bounds(audience: Condition) -> str | None:
    """Describe the first bounds in an audience that no value lies between, if there are any.

    Asked when an audience is written, and not when it is read, so that one from before still loads.
    """
    for one, _ in walk(audience):
        if isinstance(one, Range | VersionRange):
            lower = [("at_least", one.at_least), ("above", one.above)]
            upper = [("at_most", one.at_most), ("below", one.below)]
            for (low_name, low), (high_name, high) in product(lower, upper):
                if low is None or high is None:
                    continue
                least, most = _ordered(low), _ordered(high)
                includes_both = (low_name, high_name) == ("at_least", "at_most")
                if least > most or (least == most and not includes_both):
                    return f"{low_name} {low} and {high_name} {high} of {one.attribute!r}"
    return None


def walk(condition: Condition, depth: int = 1) -> Iterator[tuple[Condition, int]]:
    """Give every condition inside one, itself first, with its depth."""
    yield condition, depth
    inside: tuple[Condition, ...] = ()
    if isinstance(condition, All | AnyOf):
        inside = condition.of
    elif isinstance(condition, Not):
        inside = (condition.of,)
    for each in inside:
        yield from walk(each, depth + 1)


def _ordered(bound: float | str) -> tuple[Any, ...]:
    """Give a bound of a number or a version the form in which it is compared."""
    if isinstance(bound, str):
        key = version_key(bound)
        assert key is not None  # checked when the condition was made
        return key
    return (bound,)


def _check_bounded(name: str, bounds: tuple[object, ...]) -> None:
    if all(bound is None for bound in bounds):
        raise ValueError(f"{name} has no bound; give at_least, above, at_most or below")
