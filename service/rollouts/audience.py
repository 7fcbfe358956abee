"""Compiles an audience to closures: a request pays for dictionary look-ups and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
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
    Scalar,
    StartsWith,
    VersionRange,
)
from service.rollouts.version import MAX_VERSION_LENGTH, version_key
from service.rollouts.visitor import Visitor

Check = Callable[[Visitor], bool]
Test = Callable[[Any], bool]

MAX_VERDICTS = 1024
"""Versions that a condition remembers its word on."""


def compile_audience(condition: Condition) -> Check:  # noqa: PLR0911  # one a condition
    """Return a function that says whether a visitor is in the audience."""
    match condition:
        case All(of=of):
            return _all(tuple(compile_audience(one) for one in of))
        case AnyOf(of=of):
            return _any(tuple(compile_audience(one) for one in of))
        case Not(of=one):
            return _not(compile_audience(one))
        case InSegment(segment=segment):
            return _segment(segment)
        case Before(attribute=None, at=at):
            return _now_before(_to_ms(at))
        case After(attribute=None, at=at):
            return _not(_now_before(_to_ms(at)))
        case Equals(attribute=attribute, value=value):
            return _one_of(attribute, (value,))
        case In(attribute=attribute, values=values):
            return _one_of(attribute, values)
        case NotIn(attribute=attribute, values=values):
            return _not(_one_of(attribute, values))
        case Range():
            return _range(condition)
        case VersionRange():
            return _versions(condition)
        case _:
            assert condition.attribute is not None
            return _attribute(condition.attribute, _test(condition))


def _test(condition: Condition) -> Test:  # one a condition
    """Return what is asked of an attribute's value, which is never None or a list."""
    match condition:
        case Exists():
            return lambda value: True
        case StartsWith(values=prefixes):
            return lambda value: type(value) is str and value.startswith(prefixes)
        case EndsWith(values=suffixes):
            return lambda value: type(value) is str and value.endswith(suffixes)
        case Before(at=at):
            return _time(_to_ms(at), is_before=True)
        case After(at=at):
            return _time(_to_ms(at), is_before=False)
    raise AssertionError(f"{type(condition).__name__} tests no attribute")


def _attribute(name: str, test: Test) -> Check:
    def check(visitor: Visitor) -> bool:
        value = visitor.attributes.get(name)
        if value is None:
            return False
        if type(value) is list or type(value) is tuple:
            return any(test(one) for one in value)
        return test(value)

    return check


def _all(checks: tuple[Check, ...]) -> Check:
    def check(visitor: Visitor) -> bool:
        for one in checks:  # noqa: SIM110  # a generator costs half a microsecond
            if not one(visitor):
                return False
        return True

    return check


def _any(checks: tuple[Check, ...]) -> Check:
    def check(visitor: Visitor) -> bool:
        for one in checks:  # noqa: SIM110  # as above
            if one(visitor):
                return True
        return False

    return check


def _not(inner: Check) -> Check:
    return lambda visitor: not inner(visitor)


def _segment(key: str) -> Check:
    return lambda visitor: visitor.is_in(key)


def _now_before(at_ms: int) -> Check:
    return lambda visitor: visitor.now_ms < at_ms


def _one_of(name: str, values: tuple[Scalar, ...]) -> Check:
    # True == 1 in Python, and not in JSON.
    flags = frozenset(value for value in values if type(value) is bool)
    others = frozenset(value for value in values if type(value) is not bool)

    def test(value: Any) -> bool:
        kind = type(value)
        if kind is bool:
            return value in flags
        return (kind is str or kind is int or kind is float) and value in others

    elsewise = _attribute(name, test)

    def check(visitor: Visitor) -> bool:
        value = visitor.attributes.get(name)
        return value in others if type(value) is str else elsewise(visitor)

    return check


def _range(bounds: Range) -> Check:
    name = bounds.attribute
    at_least, above, at_most, below = bounds.at_least, bounds.above, bounds.at_most, bounds.below

    def test(value: Any) -> bool:
        return (
            (type(value) is int or type(value) is float)
            and (at_least is None or value >= at_least)
            and (above is None or value > above)
            and (at_most is None or value <= at_most)
            and (below is None or value < below)
        )

    if above is not None or below is not None:
        return _attribute(name, test)
    least = -math.inf if at_least is None else at_least
    most = math.inf if at_most is None else at_most
    elsewise = _attribute(name, test)

    def check(visitor: Visitor) -> bool:
        value = visitor.attributes.get(name)
        return least <= value <= most if type(value) is int else elsewise(visitor)

    return check


def _versions(bounds: VersionRange) -> Check:
    name = bounds.attribute
    at_least, above, at_most, below = (
        None if bound is None else version_key(bound)
        for bound in (bounds.at_least, bounds.above, bounds.at_most, bounds.below)
    )

    # Clients have few versions, and comparing two takes longer than looking one up.
    verdicts: dict[str, bool] = {}

    def test(value: Any) -> bool:
        if type(value) is not str or len(value) > MAX_VERSION_LENGTH:
            return False
        if len(verdicts) >= MAX_VERDICTS:
            verdicts.clear()
        verdict = verdicts[value] = inside(value)
        return verdict

    elsewise = _attribute(name, test)

    def check(visitor: Visitor) -> bool:
        value = visitor.attributes.get(name)
        verdict = verdicts.get(value) if type(value) is str else None
        return elsewise(visitor) if verdict is None else verdict

    def inside(value: str) -> bool:
        key = version_key(value)
        return (
            key is not None
            and (at_least is None or key >= at_least)
            and (above is None or key > above)
            and (at_most is None or key <= at_most)
            and (below is None or key < below)
        )

    return check


def _time(at_ms: int, *, is_before: bool) -> Test:
    def test(value: Any) -> bool:
        if type(value) is str:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                return False
            if moment.tzinfo is None:
                return False
            value = _to_ms(moment)
        return (type(value) is int or type(value) is float) and (value < at_ms) is is_before

    return test


def _to_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
