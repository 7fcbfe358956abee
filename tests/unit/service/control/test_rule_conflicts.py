"""Rules that work against each other are found; rules that cannot meet are not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from service.control.rule import Rule
from service.control.rule_conflicts import MAX_WARNINGS, find_conflicts

NOW_MS = 1_768_435_200_000


def rule(rule_id: str, action: str, **fields: Any) -> Rule:
    """Make a rule about the item `a`, unless told otherwise."""
    given = {"select": {"item_ids": ["a"]}, **fields}
    return msgspec.convert({"id": rule_id, "action": action, **given}, Rule)


def pin(rule_id: str, **fields: Any) -> Rule:
    """Pin to the first position."""
    return rule(rule_id, "pin", position=1, **fields)


GERMANY = {"op": "equals", "attribute": "country", "value": "DE"}
FRANCE = {"op": "equals", "attribute": "country", "value": "FR"}


def test_two_pins_on_one_position_are_told() -> None:
    """Which one has it, where they meet, and what to do."""
    other = pin("y", placements=["hero"], select={"item_ids": ["b"]})
    (found,) = find_conflicts([other, pin("x", placements=["hero", "low"])], NOW_MS)
    assert found.rule_ids == ("x", "y")
    assert found.message == (
        "'x' and 'y': both pin to position 1 in hero: 'x' has it; "
        "give one a higher priority or another position"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"priority": 1},
        {"position": 2},
        {"enabled": False},
        {"placements": ["low"]},
        {"recipes": ["similar_items"]},
        {"variants": ["b"]},
        {"ends_at": "2025-12-01T00:00:00Z"},
        {"starts_at": "2026-06-01T00:00:00Z"},
        {"audience": FRANCE},
        {"select": {"banner_ids": ["a"]}},
    ],
)
def test_pins_that_cannot_meet_are_no_conflict(fields: dict[str, Any]) -> None:
    """Another place, time or visitor, or a priority that says which of two is meant."""
    narrow = pin(
        "x",
        placements=["hero"],
        recipes=["for_you"],
        variants=["a"],
        audience=GERMANY,
        ends_at="2026-05-01T00:00:00Z",
    )
    plain = {"position": 1, "select": {"item_ids": ["b"]}}
    assert find_conflicts([narrow, rule("y", "pin", **plain)], NOW_MS)
    assert not find_conflicts([narrow, rule("y", "pin", **{**plain, **fields})], NOW_MS)


def test_hide_of_what_is_pinned_is_told() -> None:
    """By id; what else the hide asks for is not known without a model."""
    (found,) = find_conflicts([pin("x"), rule("h", "hide")], NOW_MS)
    assert "the first pins 'a', which the second hides" in found.message
    narrow = {"item_ids": ["a"], "price_below": 5}
    assert not find_conflicts([pin("x"), rule("h", "hide", select=narrow)], NOW_MS)


@pytest.mark.parametrize(
    ("mine", "other", "fights"),
    [
        ({"item_ids": ["a", "b"]}, {"item_ids": ["b"]}, True),
        ({"brands": ["Acme", "Bolt"]}, {"brands": ["Bolt"]}, True),
        ({"brands": ["Acme"], "new_for_days": 9}, {"brands": ["Acme"], "new_for_days": 9}, True),
        ({"brands": ["Acme"]}, {"brands": ["Acme"], "price_below": 5}, False),
        ({"brands": ["Acme"]}, {"categories": ["Acme"]}, False),
    ],
)
def test_boost_against_bury_is_told(
    mine: dict[str, Any], other: dict[str, Any], fights: bool
) -> None:
    """Where they surely are about the same; 4 times 0.5 is 2."""
    rules = [
        rule("x", "boost", factor=4, select=mine),
        rule("y", "bury", factor=0.5, select=other),
    ]
    found = find_conflicts(rules, NOW_MS)
    assert [one.rule_ids for one in found] == ([("x", "y")] if fights else [])
    assert not fights or "counts 2 times" in found[0].message


def test_warnings_are_bounded() -> None:
    """Twenty pins on one position make 190 pairs, of which a hundred are told."""
    assert len(find_conflicts([pin(f"p{i}") for i in range(20)], NOW_MS)) == MAX_WARNINGS
