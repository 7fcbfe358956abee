"""The merchandisers' rules, compiled for one shelf: which act on a slate, and how together.

A request pays for a look at the schedule and the audience of those rules that are about its
placement. Whatever acts together is worked out once and kept: most visitors meet the same rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.control.documents import Placement
from service.control.rule import CapPer, Rule
from service.rollouts.assignment import Assignment
from service.rollouts.audience import Check, compile_audience
from service.rollouts.definition import CONTROL, Recipe
from service.rollouts.schedule import schedule_ms
from service.rollouts.visitor import Visitor
from service.serve.selection import Rows, hour_of, select_rows
from service.serve.stock import Stock

MAX_KEPT = 64
"""Combinations of rules that are kept; a full memory is emptied."""
MIN_FACTOR, MAX_FACTOR = 1e-3, 1e3
"""Bounds of the product of all boosts and buries of one item."""

NO_ROWS: Rows = np.empty(0, dtype=np.int64)


class Caller(Protocol):
    """What rules ask of a visit."""

    now_ms: int

    @property
    def visitor(self) -> Visitor:
        """Whom audiences are asked about."""
        ...


class CompiledRule(NamedTuple):
    """A rule with its schedule in ms and its audience as a function."""

    rule: Rule
    number: int
    starts_at_ms: int
    ends_at_ms: int
    audience: Check | None


class CapRule(NamedTuple):
    """At most so many of the items that it counts, in one slate."""

    rule: Rule
    max_items: int
    per: CapPer
    rows: frozenset[int] | None
    """Nothing counts every item."""


class ActingRules:
    """What some rules do together to a slate.

    Of items everything goes by row; ids are for what only a static list knows, and for banners.
    """

    def __init__(self, number: int, rules: tuple[Rule, ...], rows: list[Rows]) -> None:
        self.number = number
        """Names this combination on its shelf; never 0."""
        self.rules = rules
        self.rows = dict(zip((rule.id for rule in rules), rows, strict=True))
        """What each rule selects, by its id."""
        self.pins: dict[int, list[Rule]] = {}
        """By position, ascending; the rule that goes first is first."""
        for rule in sorted(rules, key=lambda one: (one.position or 0, -one.priority, one.id)):
            if rule.position is not None:
                self.pins.setdefault(rule.position, []).append(rule)
        hides = [rule for rule in rules if rule.action == "hide"]
        self.hidden_rows = np.unique(np.concatenate([NO_ROWS, *(self.rows[r.id] for r in hides)]))
        self.hidden_ids = frozenset(one for rule in hides for one in _ids(rule))
        self.caps = tuple(self._cap(rule) for rule in rules if rule.action == "cap")
        self.factors = [rule for rule in rules if rule.factor is not None]
        moved = [self.rows[rule.id] for rule in self.factors]
        self._moved_rows = np.unique(np.concatenate([NO_ROWS, *moved]))
        product = np.ones(len(self._moved_rows), dtype=np.float64)
        for rule in self.factors:
            product[np.searchsorted(self._moved_rows, self.rows[rule.id])] *= rule.factor or 1.0
        self._moved_by = np.clip(product, MIN_FACTOR, MAX_FACTOR)

    def factors_of(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what the scores of some rows are multiplied with."""
        factors = np.ones(len(rows), dtype=np.float64)
        moved = are_among(rows, self._moved_rows)
        factors[moved] = self._moved_by[np.searchsorted(self._moved_rows, rows[moved])]
        return factors

    def factor_of_id(self, one: str) -> float:
        """Return what the score of a banner is multiplied with."""
        product = 1.0
        for rule in self.factors:
            if one in _ids(rule):
                product *= rule.factor or 1.0
        return min(max(product, MIN_FACTOR), MAX_FACTOR)

    def acting_on(self, row: int, one: str) -> list[Rule]:
        """List the boosts and buries of an item or a banner."""
        return [rule for rule in self.factors if self.selects(rule, row, one)]

    def hides(self, row: int, one: str) -> Rule | None:
        """Find the rule that hides an item or a banner."""
        hides = (rule for rule in self.rules if rule.action == "hide")
        return next((rule for rule in hides if self.selects(rule, row, one)), None)

    def selects(self, rule: Rule, row: int, one: str) -> bool:
        """Say whether a rule is about an item or a banner."""
        if row < 0:
            return one in _ids(rule)
        return bool(are_among(np.array([row]), self.rows[rule.id])[0])

    def _cap(self, rule: Rule) -> CapRule:
        assert rule.max_items is not None
        assert rule.per is not None
        rows = None if rule.select.is_everything else frozenset(self.rows[rule.id].tolist())
        return CapRule(rule, rule.max_items, rule.per, rows)


class RuleBook:
    """All rules that are switched on, sorted by what they are about."""

    def __init__(self, rules: Iterable[Rule], stock: Stock | None) -> None:
        self._stock = stock
        enabled = sorted((rule for rule in rules if rule.enabled), key=lambda rule: rule.id)
        self._rules = [_compile(rule, number) for number, rule in enumerate(enabled)]
        self._about: dict[tuple[str, Recipe, str | None], tuple[CompiledRule, ...]] = {}
        self._acting: dict[tuple[int, ...], ActingRules] = {}
        self._n_made = 0

    def acting(
        self, visit: Caller, placement: Placement, recipe: Recipe, assignment: Assignment | None
    ) -> ActingRules | None:
        """Find what acts on a slate now, for this visitor."""
        if not self._rules:
            return None
        variant = None if assignment is None else assignment.variant
        key = (placement.id, recipe, variant)
        about = self._about.get(key)
        if about is None:
            is_banners = placement.kind == "banners"
            about = self._about[key] = tuple(
                one
                for one in self._rules
                if one.rule.is_about_banners == is_banners and _is_about(one.rule, *key)
            )
        now_ms = visit.now_ms
        acting = tuple(
            one.number
            for one in about
            if one.starts_at_ms <= now_ms < one.ends_at_ms
            and (one.audience is None or one.audience(visit.visitor))
        )
        return self._together(acting, now_ms) if acting else None

    def warm_up(self, now_ms: int) -> None:
        """Work out what each rule selects, which may look through the whole catalogue."""
        for one in self._rules:
            self._rows(one.rule, now_ms)

    def _together(self, numbers: tuple[int, ...], now_ms: int) -> ActingRules:
        rules = tuple(self._rules[number].rule for number in numbers)
        hours = (hour_of(rule.select, now_ms) for rule in rules)
        key = (*numbers, -1, *hours) if any(rule.select.new_for_days for rule in rules) else numbers
        acting = self._acting.get(key)
        if acting is None:
            if len(self._acting) >= MAX_KEPT:
                self._acting.clear()
            self._n_made += 1
            rows = [self._rows(rule, now_ms) for rule in rules]
            acting = self._acting[key] = ActingRules(self._n_made, rules, rows)
        return acting

    def _rows(self, rule: Rule, now_ms: int) -> Rows:
        if self._stock is None or rule.is_about_banners or rule.select.is_everything:
            return NO_ROWS
        return select_rows(rule.select, self._stock, now_ms)


def are_among(rows: NDArray[np.int64], ascending: Rows) -> NDArray[np.bool_]:
    """Say of each row whether it is one of `ascending`; a few against many cost a few look-ups."""
    if not len(ascending):
        return np.zeros(len(rows), dtype=np.bool_)
    places = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[places] == rows
    return found


def _compile(rule: Rule, number: int) -> CompiledRule:
    starts_at_ms, ends_at_ms = schedule_ms(rule.starts_at, rule.ends_at, rule.time_zone)
    audience = None if rule.audience is None else compile_audience(rule.audience)
    return CompiledRule(rule, number, starts_at_ms, ends_at_ms, audience)


def _is_about(rule: Rule, placement_id: str, recipe: Recipe, variant: str | None) -> bool:
    return (
        (not rule.placements or placement_id in rule.placements)
        and (not rule.recipes or recipe in rule.recipes)
        and (not rule.variants or variant in rule.variants)
        and (rule.in_control or variant != CONTROL)
    )


def _ids(rule: Rule) -> tuple[str, ...]:
    """List ids that are selected whatever the model knows of them: nothing else may be asked."""
    select = rule.select
    return select.banner_ids or (select.item_ids if select.is_by_id else ())
