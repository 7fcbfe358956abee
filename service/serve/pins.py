"""Pins: what rules put at a position, before the ranking fills the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec.structs import replace

from service.control.documents import Placement
from service.control.rule import Rule
from service.serve.fill import CapReason, Caps, Pick, fill
from service.serve.rules import ActingRules, are_among
from service.serve.shelf import Layer, Shelf
from service.serve.standing import BannerBarrier, Barrier, barrier_of

PIN = "pin"
"""The source of what a rule put there."""

SkipReason = (
    Barrier | CapReason | BannerBarrier | Literal["outranked", "beyond_slate", "nothing_fits"]
)

T = TypeVar("T")


class Skipped(NamedTuple):
    """A pin that does not stand, and why."""

    rule: Rule
    id: str | None
    """What would have stood there, if the rule names it."""
    reason: SkipReason
    by_rule: str | None = None
    """The rule that stands in the way, if one does."""


class Pinned(NamedTuple):
    """What stands where by rule, and what does not."""

    picks: dict[int, tuple[Pick, Rule]]
    """By position."""
    skipped: list[Skipped]


def pin_items(
    shelf: Shelf,
    placement: Placement,
    rules: ActingRules,
    k: int,
    layers: Callable[[], Iterable[Layer]],
    *,
    barred: set[str],
    purchased: Collection[int],
    caps: Caps,
) -> Pinned:
    """Find what the pins put at the positions 1 to `k`; the ids taken are added to `barred`.

    A rule that names items has the first of them that may stand there; any other the best ranked
    that fits it. `layers` are asked for only by the latter, and hold nothing hidden.
    """
    picks: dict[int, tuple[Pick, Rule]] = {}
    skipped: list[Skipped] = []
    for position, pins in rules.pins.items():
        for rule in pins:
            if position > k or position in picks:
                reason: SkipReason = "beyond_slate" if position > k else "outranked"
                by = picks[position][1].id if position in picks else None
                skipped.append(Skipped(rule, _first_id(rule), reason, by))
                continue
            if rule.select.item_ids:
                pick, missed = _named(
                    shelf, placement, rules, rule, barred=barred, purchased=purchased, caps=caps
                )
                skipped += missed
            else:
                only = _only(layers(), rules, rule)
                found = fill(only, shelf, 1, barred=barred, purchased=purchased, caps=caps)
                pick = found[0] if found else None
                if pick is None:
                    skipped.append(Skipped(rule, None, "nothing_fits"))
            if pick is not None:
                picks[position] = (replace(pick, tier="static", source=PIN, because_row=-1), rule)
    return Pinned(picks, skipped)


def weave(ranked: list[T], pinned: dict[int, T]) -> list[T]:
    """Put what is pinned at its positions among the ranked; a short slate leaves no gap."""
    if not pinned:
        return ranked
    rest = iter(ranked)
    slate: list[T] = []
    for position in range(1, len(ranked) + len(pinned) + 1):
        if position in pinned:
            slate.append(pinned[position])
            continue
        one = next(rest, None)
        if one is None:
            slate += [late for place, late in sorted(pinned.items()) if place > position]
            break
        slate.append(one)
    return slate


def _named(
    shelf: Shelf,
    placement: Placement,
    rules: ActingRules,
    rule: Rule,
    *,
    barred: set[str],
    purchased: Collection[int],
    caps: Caps,
) -> tuple[Pick | None, list[Skipped]]:
    skipped: list[Skipped] = []
    for item_id in rule.select.item_ids:
        item = shelf.item(shelf.row_of(item_id))
        if not rules.selects(rule, item.row, item_id):
            skipped.append(Skipped(rule, item_id, "nothing_fits"))
            continue
        found = barrier_of(shelf, placement, rules, item_id, barred=barred, purchased=purchased)
        if found is not None:
            skipped.append(Skipped(rule, item_id, found.barrier, found.rule_id))
            continue
        refusal = caps.refusal(item)
        if refusal is not None:
            skipped.append(Skipped(rule, item_id, *refusal))
            continue
        caps.take(item)
        barred.add(item_id)
        return Pick(item, "static", PIN, None, -1), skipped
    return None, skipped


def _only(layers: Iterable[Layer], rules: ActingRules, rule: Rule) -> Iterator[Layer]:
    """Leave in each layer what a rule selects, without scores: a pin has none."""
    wanted = rules.rows[rule.id]
    for layer in layers:
        rows = np.asarray(layer.rows, dtype=np.int64)
        kept: list[int] = rows[are_among(rows, wanted)].tolist()
        yield msgspec.structs.replace(layer, rows=kept, scores=None, because=None)


def _first_id(rule: Rule) -> str | None:
    named = rule.select.item_ids or rule.select.banner_ids
    return named[0] if named else None
