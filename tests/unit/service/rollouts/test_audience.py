"""Audiences: each condition, nesting, absent attributes, types that do not fit."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.rollouts.audience import compile_audience
from service.rollouts.conditions import Condition, check_audience, segments_of
from service.rollouts.definition import Rollout
from service.rollouts.version import version_key
from service.rollouts.visitor import Visitor

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
ATTRIBUTES: dict[str, object] = {
    "country": "AE",
    "app_version": "4.2.0",
    "age": 30,
    "spend": 12.5,
    "is_member": True,
    "tags": ["a", "b"],
    "signed_up_at": "2026-01-10T00:00:00+04:00",
    "empty": None,
}


class ListOf:
    """An uploaded list of user keys."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def has(self, user_key: str | None, anonymous_key: str | None) -> bool:
        """Look the user up."""
        return user_key in self.keys


def holds(condition: dict[str, Any], **attributes: object) -> bool:
    """Say whether a condition holds for u1 at noon."""
    visitor = Visitor(
        "u1",
        None,
        now_ms=NOON_MS,
        attributes={**ATTRIBUTES, **attributes},
        segments={"vip": ListOf("u1"), "staff": ListOf("u2")},
    )
    return compile_audience(msgspec.convert(condition, Condition))(visitor)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"op": "equals", "attribute": "country", "value": "AE"}, True),
        ({"op": "equals", "attribute": "country", "value": "ae"}, False),
        ({"op": "equals", "attribute": "age", "value": 30.0}, True),
        ({"op": "equals", "attribute": "age", "value": "30"}, False),
        ({"op": "equals", "attribute": "is_member", "value": True}, True),
        ({"op": "equals", "attribute": "is_member", "value": 1}, False),
        ({"op": "equals", "attribute": "tags", "value": "b"}, True),
        ({"op": "in", "attribute": "country", "values": ["SA", "AE"]}, True),
        ({"op": "in", "attribute": "tags", "values": ["c"]}, False),
        ({"op": "not_in", "attribute": "country", "values": ["SA"]}, True),
        ({"op": "not_in", "attribute": "country", "values": ["AE"]}, False),
        ({"op": "not_in", "attribute": "absent", "values": ["AE"]}, True),
        ({"op": "exists", "attribute": "age"}, True),
        ({"op": "exists", "attribute": "empty"}, False),
        ({"op": "range", "attribute": "age", "at_least": 30, "below": 31}, True),
        ({"op": "range", "attribute": "age", "above": 30}, False),
        ({"op": "range", "attribute": "spend", "at_most": 12.5}, True),
        ({"op": "range", "attribute": "is_member", "at_least": 0}, False),
        ({"op": "range", "attribute": "country", "at_least": 0}, False),
        ({"op": "version", "at_least": "4.2", "below": "5"}, True),
        ({"op": "version", "above": "4.2.0-rc.9"}, True),
        ({"op": "version", "at_least": "4.10"}, False),
        ({"op": "version", "attribute": "country", "at_least": "0"}, False),
        ({"op": "starts_with", "attribute": "country", "values": ["S", "A"]}, True),
        ({"op": "starts_with", "attribute": "age", "values": ["3"]}, False),
        ({"op": "ends_with", "attribute": "country", "values": ["E"]}, True),
        ({"op": "before", "at": "2026-01-15T12:00:01Z"}, True),
        ({"op": "before", "at": "2026-01-15T12:00:00Z"}, False),
        ({"op": "after", "at": "2026-01-15T12:00:00Z"}, True),
        ({"op": "before", "attribute": "signed_up_at", "at": "2026-01-09T20:00:01Z"}, True),
        ({"op": "after", "attribute": "signed_up_at", "at": "2026-01-09T20:00:00Z"}, True),
        ({"op": "after", "attribute": "country", "at": "2020-01-01T00:00:00Z"}, False),
        ({"op": "segment", "segment": "vip"}, True),
        ({"op": "segment", "segment": "staff"}, False),
        ({"op": "segment", "segment": "unknown"}, False),
    ],
)
def test_condition_holds(condition: dict[str, Any], expected: Any) -> None:
    """Each condition holds where its words say so, and for no value of another type."""
    assert holds(condition) is expected


@pytest.mark.parametrize("op", ["equals", "range", "version", "starts_with", "before"])
def test_absent_attribute_fails_and_its_negation_holds(op: str) -> None:
    """What is not known is in no audience; `not` of that is an audience of everyone else."""
    rest: dict[str, dict[str, Any]] = {
        "equals": {"value": "x"},
        "range": {"at_least": 0},
        "version": {"at_least": "1"},
        "starts_with": {"values": ["x"]},
        "before": {"at": "2030-01-01T00:00:00Z"},
    }
    condition: dict[str, Any] = {"op": op, "attribute": "absent", **rest[op]}
    assert not holds(condition)
    assert holds({"op": "not", "of": condition})


def test_epoch_ms_is_a_time_too() -> None:
    """A time may come as ISO 8601 with an offset or as ms; without an offset it is no moment."""
    condition = {"op": "before", "attribute": "seen", "at": NOON.isoformat()}
    assert holds(condition, seen=NOON_MS - 1)
    assert not holds(condition, seen=NOON_MS)
    assert not holds(condition, seen="2020-01-01T00:00:00")


def test_nesting_is_all_any_not() -> None:
    """(AE or SA) and not (tag c or under 18) holds for a grown-up in AE."""
    country = {"op": "in", "attribute": "country", "values": ["AE", "SA"]}
    barred = {
        "op": "any",
        "of": [
            {"op": "equals", "attribute": "tags", "value": "c"},
            {"op": "range", "attribute": "age", "below": 18},
        ],
    }
    audience = {"op": "all", "of": [country, {"op": "not", "of": barred}]}
    assert holds(audience)
    assert not holds(audience, age=17)
    assert not holds(audience, country="GB")
    assert not holds(audience, tags=["c"])


def test_version_order_is_that_of_semver() -> None:
    """The example of semver.org, with shorter and longer numbers around it."""
    ordered = [
        "0.9",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.0.1",
        "1.2",
        "1.10",
        "v2",
    ]
    keys = [version_key(text) for text in ordered]
    assert None not in keys
    assert sorted(keys, key=lambda key: key or ((0,), False, ())) == keys
    assert version_key("1.0.0+build.7") == version_key("1")
    assert [version_key(text) for text in ("", "x", "1..2", "1.2.3.4.5", "٣", "1" * 65)] == [
        None
    ] * 6


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"op": "like", "attribute": "a"}, "Invalid value"),
        ({"op": "range", "attribute": "a"}, "no bound"),
        ({"op": "version", "at_least": "four"}, "is not a version"),
        ({"op": "before", "at": "2026-01-15T12:00:00"}, "timezone"),
        ({"op": "all", "of": []}, "length >= 1"),
        ({"op": "in", "attribute": "a", "values": ["x"], "valeus": []}, "unknown field"),
    ],
)
def test_wrong_condition_is_refused(condition: dict[str, Any], message: str) -> None:
    """A condition that could never mean anything is refused when it is written."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert({"share": 1, "audience": condition}, Rollout)


def test_too_large_audience_is_refused() -> None:
    """More than 200 conditions or 10 levels would make a request wait."""
    leaf: dict[str, Any] = {"op": "exists", "attribute": "a"}
    deep = leaf
    for _ in range(10):
        deep = {"op": "not", "of": deep}
    with pytest.raises(ValueError, match="10 levels"):
        check_audience(msgspec.convert(deep, Condition))
    with pytest.raises(ValueError, match="201 conditions"):
        check_audience(msgspec.convert({"op": "all", "of": [leaf] * 200}, Condition))


def test_segments_of_an_audience_are_found_at_any_depth() -> None:
    """What an audience leans on is known before a list is deleted."""
    audience = {
        "op": "any",
        "of": [
            {"op": "segment", "segment": "vip"},
            {"op": "not", "of": {"op": "segment", "segment": "staff"}},
        ],
    }
    assert segments_of(msgspec.convert(audience, Condition)) == {"vip", "staff"}
    assert segments_of(None) == set()
