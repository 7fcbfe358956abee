"""Filling a slate: walk the layers from the most personal down and take what may stand there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

import msgspec

from service.exposure import Tier
from service.serve.rules import CapRule
from service.serve.shelf import Layer, Shelf
from service.serve.stock import Item

CapReason = Literal["brand_cap", "category_cap", "rule_cap"]


class Pick(msgspec.Struct, frozen=True, gc=False):
    """One item taken for a slate."""

    item: Item
    tier: Tier
    source: str
    score: float | None
    because_row: int
    """-1 where no item spoke for this one."""


class Caps:
    """How many more items of each brand and category a slate may take, and of what rules count."""

    def __init__(
        self,
        max_per_brand: int | None,
        max_per_category: int | None,
        rules: Sequence[CapRule] = (),
    ) -> None:
        self.max_per_brand = max_per_brand
        self.max_per_category = max_per_category
        self._rules = rules
        self._brands: dict[int, int] = {}
        self._categories: dict[int, int] = {}
        self._counted: dict[tuple[str, int], int] = {}

    @property
    def binds(self) -> bool:
        """Whether there is any cap."""
        return (
            self.max_per_brand is not None or self.max_per_category is not None or bool(self._rules)
        )

    def refusal(self, item: Item) -> tuple[CapReason, str | None] | None:
        """Say which cap leaves no room for the item, and the id of its rule, if it is one's.

        An unknown brand or category is never full.
        """
        if not _room(self._brands, item.brand_row, self.max_per_brand):
            return "brand_cap", None
        if not _room(self._categories, item.category_row, self.max_per_category):
            return "category_cap", None
        for rule in self._rules:
            key = _counter(rule, item)
            if key is not None and self._counted.get(key, 0) >= rule.max_items:
                return "rule_cap", rule.rule.id
        return None

    def take(self, item: Item) -> bool:
        """Count the item in, or refuse it."""
        if self.refusal(item) is not None:
            return False
        self._brands[item.brand_row] = self._brands.get(item.brand_row, 0) + 1
        self._categories[item.category_row] = self._categories.get(item.category_row, 0) + 1
        for rule in self._rules:
            key = _counter(rule, item)
            if key is not None:
                self._counted[key] = self._counted.get(key, 0) + 1
        return True


def fill(
    layers: Iterable[Layer],
    shelf: Shelf,
    k: int,
    *,
    barred: set[str],
    purchased: Collection[int],
    caps: Caps,
) -> list[Pick]:
    """Take the first `k` items of the layers that are not barred, bought or over a cap.

    Layers are asked for one by one, so a lower tier costs nothing while a higher one suffices. The
    ids taken are added to `barred`.
    """
    picks: list[Pick] = []
    if k <= 0:
        return picks
    is_capped = caps.binds
    item_of = shelf.item
    for layer in layers:
        scores, because = layer.scores, layer.because
        for place, row in enumerate(layer.rows):
            if row in purchased:
                continue
            item = item_of(row)
            if item.id in barred or (is_capped and not caps.take(item)):
                continue
            barred.add(item.id)
            speaker = -1 if because is None else because[place]
            source = layer.source
            if speaker < 0 and layer.silent_source is not None:
                source = layer.silent_source
            score = None if scores is None else scores[place]
            picks.append(Pick(item, layer.tier, source, score, speaker))
            if len(picks) == k:
                return picks
    return picks


def _counter(rule: CapRule, item: Item) -> tuple[str, int] | None:
    """Name what an item counts to under a rule; nothing if it does not count."""
    if rule.rows is not None and item.row not in rule.rows:
        return None
    if rule.per == "selection":
        return rule.rule.id, -1
    row = item.brand_row if rule.per == "brand" else item.category_row
    return None if row < 0 else (rule.rule.id, row)


def _room(counts: dict[int, int], row: int, cap: int | None) -> bool:
    return cap is None or row < 0 or counts.get(row, 0) < cap
