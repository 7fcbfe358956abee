"""The shelf: what may stand on a page now, one stock under one configuration.

Built once per model version and revision; every list on it holds only items that may be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.snapshot import POPULAR
from models.vocabulary import MISSING_ROW
from service.control.configuration import Configuration
from service.control.documents import Placement
from service.cpu.breath import no_breath
from service.exposure import Tier
from service.rollouts.audience import Check, compile_audience
from service.rollouts.definition import Recipe
from service.rollouts.visitor import Members, Visitor
from service.serve.banner_table import BannerTable
from service.serve.model_segments import all_segments
from service.serve.remembered import MAX_SHARED_BYTES, RememberedSlates
from service.serve.rules import RuleBook
from service.serve.stock import Item, Stock

MAX_LAYER = 500
"""Rows of a ranked list that are looked at."""
CHUNK = 1_000

_NO_ATTRIBUTES = msgspec.Raw(b"{}")


class Layer(msgspec.Struct, frozen=True, gc=False):
    """Candidates of one source, the best first."""

    tier: Tier
    source: str
    rows: list[int]
    scores: list[float] | None = None
    because: list[int] | None = None
    """Row of the item that spoke for each candidate, -1 for none."""
    silent_source: str | None = None
    """The source of a candidate that no item spoke for, where it is another one."""


class Shelf:
    """Ranked lists without hidden and unavailable items, made when first asked for."""

    def __init__(
        self,
        stock: Stock | None,
        configuration: Configuration,
        banners: BannerTable | None = None,
    ) -> None:
        """Take `banners` of a shelf whose banners and stock are the same."""
        self.stock = stock
        self.configuration = configuration
        self.version = None if stock is None else stock.snapshot.version
        """Of the model, or nothing while there is none."""
        self.segments: Mapping[str, Members] = configuration.segments
        """Whom audiences may ask for: uploaded lists, and what the model knows of its users."""
        if stock is not None:
            self.segments = all_segments(configuration.segments, stock.snapshot.users)
        self.banners = banners or BannerTable(configuration.banners.values(), stock)
        self.banner_priors: dict[str, list[tuple[float, int]]] = {}
        """What `banners` works out for a context: affinity times weight, and banner number."""
        self.remembered = RememberedSlates(MAX_SHARED_BYTES)
        """What everybody is shown whom nothing is known of."""
        self._recipes: dict[str, list[tuple[Check, Recipe]]] = {
            one.id: [(compile_audience(each.audience), each.recipe) for each in one.recipes]
            for one in configuration.placements.values()
            if one.recipes
        }
        self.rules = RuleBook(configuration.rules.values(), stock)
        self._strangers: list[Item] = []
        self._stranger_rows: dict[str, int] = {}
        self._shown: dict[bool, NDArray[np.bool_]] = {}
        self._priors: dict[tuple[str, str, bool], Layer] = {}
        self._static: dict[tuple[str, bool], Layer] = {}
        self._cold: dict[bool, list[int]] = {}

    def warm_up(self, now_ms: int, breathe: Callable[[], None] = no_breath) -> None:
        """Make what nearly every page needs and what takes longest."""
        self.prior(POPULAR, "popular", "popular", only_available=True)
        breathe()
        self.banners.warm_up(breathe)
        self.rules.warm_up(now_ms)

    def recipe_for(self, placement: Placement, visitor: Visitor) -> Recipe:
        """Say how a placement is filled for a visitor, if no rollout says otherwise."""
        for holds, recipe in self._recipes.get(placement.id, ()):
            if holds(visitor):
                return recipe
        return placement.main_recipe

    def item(self, row: int) -> Item:
        """Return the item of a layer's row."""
        if row >= 0 and self.stock is not None:
            return self.stock.item(row)
        return self._strangers[-2 - row]

    def open_rows(self, rows: NDArray[np.integer], only_available: bool) -> NDArray[np.integer]:
        """Keep the rows that may be shown."""
        kept: NDArray[np.integer] = rows[self.shown_mask(only_available)[rows]]
        return kept

    def shown_mask(self, only_available: bool) -> NDArray[np.bool_]:
        """Say for every item whether it may be shown, shape (n_items,)."""
        mask = self._shown.get(only_available)
        if mask is None:
            mask = self._shown[only_available] = self._make_mask(only_available)
        return mask

    def prior(self, key: str, tier: Tier, source: str, only_available: bool) -> Layer | None:
        """Return the ranked list of a context, or nothing if the model has none."""
        if self.stock is None:
            return None
        layer = self._priors.get((key, source, only_available))
        if layer is None:
            found = self.stock.snapshot.priors.get(key)
            if found is None:
                return None
            rows, scores = found[0][:MAX_LAYER], found[1][:MAX_LAYER]
            shown = self.shown_mask(only_available)[rows]
            layer = Layer(tier, source, rows[shown].tolist(), rounded(scores[shown]))
            self._priors[key, source, only_available] = layer
        return layer

    def popular(self, only_available: bool) -> Iterator[Layer]:
        """Give the popular items, then, chunk by chunk, everything else that may be shown."""
        if self.stock is None:
            return
        layer = self.prior(POPULAR, "popular", "popular", only_available)
        if layer is not None:
            yield layer
        rows, popularity = self.stock.by_popularity, self.stock.snapshot.items.popularity
        for begin in range(0, len(rows), CHUNK):
            chunk = self.open_rows(rows[begin : begin + CHUNK], only_available)
            yield Layer("popular", "popular", chunk.tolist(), rounded(popularity[chunk]))

    def static(self, placement: Placement) -> Layer:
        """Return the merchandiser's own list of a placement."""
        key = (placement.id, placement.only_available)
        layer = self._static.get(key)
        if layer is None:
            barred = self.configuration.hidden_items
            if placement.only_available:
                barred |= self.configuration.unavailable_items
            rows = [
                self.row_of(item_id) for item_id in placement.static_ids if item_id not in barred
            ]
            if self.stock is not None:
                mask = self.shown_mask(placement.only_available)
                rows = [row for row in rows if row < 0 or mask[row]]
            layer = self._static[key] = Layer("static", "static", rows)
        return layer

    def cold(self, only_available: bool) -> list[int]:
        """Return rows that nobody has met yet, the newest first, at most `MAX_LAYER`."""
        if self.stock is None:
            return []
        rows = self._cold.get(only_available)
        if rows is None:
            found = self.open_rows(self.stock.cold_rows, only_available)[:MAX_LAYER]
            rows = self._cold[only_available] = found.tolist()
        return rows

    def row_of(self, item_id: str) -> int:
        """Return the row of an item that a document names.

        One that the model does not know gets a row below -1, and is kept: ids from outside, which
        have no end, must not come here.
        """
        row = MISSING_ROW if self.stock is None else self.stock.row(item_id)
        if row == MISSING_ROW:
            row = self._stranger_rows.setdefault(item_id, -2 - len(self._strangers))
            if row == -2 - len(self._strangers):
                self._strangers.append(Item(row, item_id, _NO_ATTRIBUTES, -1, -1))
        return row

    def _make_mask(self, only_available: bool) -> NDArray[np.bool_]:
        if self.stock is None:
            return np.zeros(0, dtype=np.bool_)
        configuration = self.configuration
        if only_available:
            mask = np.array(self.stock.snapshot.items.available, dtype=np.bool_)
            self._set(mask, configuration.available_items, True)
            self._set(mask, configuration.unavailable_items, False)
        else:
            mask = np.ones(len(self.stock), dtype=np.bool_)
        self._set(mask, configuration.hidden_items, False)
        return mask

    def _set(self, mask: NDArray[np.bool_], item_ids: frozenset[str], value: bool) -> None:
        if self.stock is not None and item_ids:
            mask[self.stock.known_rows(tuple(item_ids))] = value


def rounded(scores: NDArray[np.floating]) -> list[float]:
    """Write scores with six decimals: what lies beyond is noise and costs bytes."""
    numbers: list[float] = scores.astype(np.float64).round(6).tolist()
    return numbers
