"""Finds rules that work against each other, for those who wrote them; nothing here is refused.

Only what can be told without a model is: rules that name the same ids, the same position, the same
selection. Two rules for audiences of their own are taken to be meant for different visitors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, islice, product
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from service.control.rule import Rule, Selection
from service.rollouts.schedule import schedule_ms

MAX_WARNINGS = 100


class RuleWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Two rules that work against each other at some time, for some visitor."""

    rule_ids: tuple[str, str]
    message: Annotated[str, Meta(description="what comes of it, and what to do")]


class _Timed(NamedTuple):
    rule: Rule
    starts_at_ms: int
    ends_at_ms: int


def find_conflicts(rules: Iterable[Rule], now_ms: int) -> list[RuleWarning]:
    """List at most `MAX_WARNINGS` pairs of rules, by id, that are on and not over."""
    timed = [
        _Timed(rule, *schedule_ms(rule.starts_at, rule.ends_at, rule.time_zone))
        for rule in sorted(rules, key=lambda one: one.id)
        if rule.enabled
    ]
    known = [one for one in timed if now_ms < one.ends_at_ms]
    found = (*_pins(known), *_hidden_pins(known), *_pulls(known))
    return list(islice(found, MAX_WARNINGS))


def _pins(known: list[_Timed]) -> Iterator[RuleWarning]:
    by_position: dict[int | None, list[_Timed]] = {}
    for one in _of(known, "pin"):
        by_position.setdefault(one.rule.position, []).append(one)
    for position, pins in by_position.items():
        for first, second in combinations(pins, 2):
            # A priority says who of two is meant to have it.
            if first.rule.priority == second.rule.priority and _can_meet(first, second):
                yield _warn(
                    first,
                    second,
                    f"both pin to position {position}{_where(first, second)}: "
                    f"{first.rule.id!r} has it; give one a higher priority or another position",
                )


def _hidden_pins(known: list[_Timed]) -> Iterator[RuleWarning]:
    for pin, hide in product(_of(known, "pin"), _of(known, "hide")):
        both = _ids(hide.rule.select) & _ids(pin.rule.select)
        if both and _can_meet(pin, hide):
            yield _warn(
                pin,
                hide,
                f"the first pins {min(both)!r}, which the second hides{_where(pin, hide)}: "
                "what is hidden never stands; switch one off",
            )


def _pulls(known: list[_Timed]) -> Iterator[RuleWarning]:
    for boost, bury in product(_of(known, "boost"), _of(known, "bury")):
        if _overlap(boost.rule.select, bury.rule.select) and _can_meet(boost, bury):
            factor = (boost.rule.factor or 1) * (bury.rule.factor or 1)
            yield _warn(
                boost,
                bury,
                f"one lifts what the other lowers{_where(boost, bury)}: together it counts "
                f"{factor:.3g} times; keep one of them",
            )


def _of(known: list[_Timed], action: str) -> list[_Timed]:
    return [one for one in known if one.rule.action == action]


def _warn(first: _Timed, second: _Timed, text: str) -> RuleWarning:
    ids = first.rule.id, second.rule.id
    return RuleWarning(rule_ids=ids, message=f"{ids[0]!r} and {ids[1]!r}: {text}")


def _where(first: _Timed, second: _Timed) -> str:
    mine, other = set(first.rule.placements), set(second.rule.placements)
    shared = mine & other if mine and other else mine or other
    return f" in {', '.join(sorted(shared))}" if shared else ""


def _can_meet(first: _Timed, second: _Timed) -> bool:
    """Say whether both may act on one slate."""
    one, other = first.rule, second.rule
    return (
        one.is_about_banners == other.is_about_banners
        and first.starts_at_ms < second.ends_at_ms
        and second.starts_at_ms < first.ends_at_ms
        and _share(one.placements, other.placements)
        and _share(one.recipes, other.recipes)
        and _share(one.variants, other.variants)
        and (one.audience is None or other.audience is None or one.audience == other.audience)
    )


def _share(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Say whether two lists, of which an empty one is everything, have something in common."""
    return not first or not second or not set(first).isdisjoint(second)


def _ids(select: Selection) -> set[str]:
    """List the ids that a selection surely takes, where it asks for nothing else."""
    return set(select.banner_ids or (select.item_ids if select.is_by_id else ()))


def _overlap(first: Selection, second: Selection) -> bool:
    if first == second or _ids(first) & _ids(second):
        return True
    for name in ("categories", "brands", "attributes"):
        mine, other = (getattr(one, name) for one in (first, second))
        if not set(mine).isdisjoint(other) and _asks_only(first, name) and _asks_only(second, name):
            return True
    return False


def _asks_only(select: Selection, name: str) -> bool:
    return select == Selection(**{name: getattr(select, name)})
