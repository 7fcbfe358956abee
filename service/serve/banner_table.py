"""Banners compiled for ranking: what each advertises, when it may stand, how well it fits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.vocabulary import MISSING_ROW
from service.control.documents import Banner
from service.cpu.breath import no_breath
from service.rollouts.audience import Check, compile_audience
from service.rollouts.schedule import FOREVER_MS, schedule_ms
from service.serve.caps import Cap
from service.serve.stock import Stock, attribute_label, category_label, is_attribute

LIKENESS_SHARE = 0.5
"""What content likeness counts beside a match, so that it never outweighs one."""
MIN_AFFINITY = 0.02
"""Below it a banner is not called personal."""
HOUR_MS = 3_600_000
MAX_ADVERTISED = 200
"""Items of an advertised category that make up its content."""
LOOKED_AT_ONCE = 16_384
"""Items among which those are looked for."""


class CompiledBanner(msgspec.Struct, frozen=True):
    """A banner with its schedule in ms and what it advertises as labels."""

    banner: Banner
    starts_at_ms: int
    ends_at_ms: int
    labels: frozenset[str]
    item_rows: frozenset[int]
    audience: Check | None = None

    @property
    def id(self) -> str:
        """The banner's id."""
        return self.banner.id

    def is_live(self, now_ms: int) -> bool:
        """Whether the schedule lets it stand now."""
        return self.starts_at_ms <= now_ms < self.ends_at_ms


class BannerTable:
    """All banners that are switched on, numbered by falling weight and then by id."""

    def __init__(self, banners: Iterable[Banner], stock: Stock | None) -> None:
        shown = [banner for banner in banners if banner.enabled and banner.weight > 0]
        shown.sort(key=lambda banner: (-banner.weight, banner.id))
        self._stock = stock
        self.entries = [_compile(banner, stock) for banner in shown]
        self.caps = {
            banner.id: Cap(banner.cap.max_views, int(banner.cap.hours * HOUR_MS))
            for banner in shown
            if banner.cap is not None
        }
        self.numbers = {entry.id: number for number, entry in enumerate(self.entries)}
        self.by_weight = [(one.banner.weight, number) for number, one in enumerate(self.entries)]
        self.has_audiences = any(entry.audience is not None for entry in self.entries)
        """Whether who asks decides which of them may stand."""
        turns = {at_ms for one in self.entries for at_ms in (one.starts_at_ms, one.ends_at_ms)}
        self._turns_ms = sorted(turns - {-FOREVER_MS, FOREVER_MS})
        self._weights = np.array([entry.banner.weight for entry in self.entries], dtype=np.float64)
        self._by_item: dict[int, list[int]] = {}
        self._by_attribute: dict[str, list[int]] = {}
        for number, entry in enumerate(self.entries):
            for row in entry.item_rows:
                self._by_item.setdefault(row, []).append(number)
            for label in entry.labels:
                if is_attribute(label):
                    self._by_attribute.setdefault(label, []).append(number)
        self._by_category: dict[int, bytes] = {}
        self._likenesses: NDArray[np.float32] | None = None

    def season(self, now_ms: int) -> int:
        """Number the times between which the same banners may stand."""
        return bisect_right(self._turns_ms, now_ms) if self._turns_ms else 0

    def rank(
        self, rows: NDArray[np.integer], weights: NDArray[np.floating]
    ) -> list[tuple[float, int]]:
        """Return (affinity · weight, number) of the banners that fit a history, the best first.

        The affinity is the weighted mean, over the items of the history, of 1 where the banner
        advertises the item and of half the cosine of their content where it does not.
        """
        if self._stock is None or not self.entries or not len(rows):
            return []
        items = self._stock.snapshot.items
        parts = items.content.take(rows, axis=0) @ self._likeness()
        # A match is 1, else 0: nothing is below it. Joining bytes is quicker than many arrays.
        matches = b"".join(map(self._matches, items.category_rows.take(rows).tolist()))
        np.maximum(parts, np.frombuffer(matches, dtype=np.float32).reshape(parts.shape), out=parts)
        if self._by_item or self._by_attribute:
            for place, row in enumerate(rows.tolist()):
                parts[place, self._named(row)] = 1.0
        affinity = weights.astype(np.float64) @ parts
        found = (affinity >= MIN_AFFINITY).nonzero()[0]
        scores = (affinity.take(found) * self._weights.take(found)).round(6)
        best = (-scores).argsort(kind="stable")  # of equals the first, for they stand in order
        return list(zip(scores.take(best).tolist(), found.take(best).tolist(), strict=True))

    def warm_up(self, breathe: Callable[[], None] = no_breath) -> None:
        """Work out what each banner advertises, which looks through the whole catalogue."""
        if self._stock is not None and self.entries:
            self._likeness(breathe)

    def _matches(self, category_row: int) -> bytes:
        """Return 1 for each banner that advertises a category, else 0, as float32 values."""
        matches = self._by_category.get(category_row)
        if matches is None:
            assert self._stock is not None
            labels = self._stock.category_labels(category_row)
            values = [not entry.labels.isdisjoint(labels) for entry in self.entries]
            matches = self._by_category[category_row] = np.array(values, dtype=np.float32).tobytes()
        return matches

    def _named(self, row: int) -> list[int]:
        """Return the banners that advertise an item itself, or an attribute of its card."""
        numbers = list(self._by_item.get(row, ()))
        if self._by_attribute and self._stock is not None:
            for label in self._stock.card_labels(row):
                numbers += self._by_attribute.get(label, ())
        return numbers

    def _likeness(self, breathe: Callable[[], None] = no_breath) -> NDArray[np.float32]:
        """Return what content is multiplied by to get its likeness, shape (c, n_banners).

        That is the unit-length mean content of each banner's items, times `LIKENESS_SHARE`.
        """
        if self._likenesses is None:
            assert self._stock is not None
            content = self._stock.snapshot.items.content
            means = np.zeros((len(self.entries), content.shape[1]), dtype=np.float32)
            for number, entry in enumerate(self.entries):
                rows = [*sorted(entry.item_rows), *_category_rows(entry, self._stock)]
                if rows:
                    mean = content[rows].mean(axis=0)
                    means[number] = mean / max(float(np.linalg.norm(mean)), 1e-9)
                breathe()
            self._likenesses = LIKENESS_SHARE * means.T
        return self._likenesses


def _compile(banner: Banner, stock: Stock | None) -> CompiledBanner:
    starts_at_ms, ends_at_ms = schedule_ms(banner.starts_at, banner.ends_at, banner.time_zone)
    return CompiledBanner(
        banner=banner,
        starts_at_ms=starts_at_ms,
        ends_at_ms=ends_at_ms,
        labels=frozenset(map(category_label, banner.categories))
        | frozenset(map(attribute_label, banner.attributes)),
        item_rows=frozenset(() if stock is None else stock.known_rows(banner.item_ids)),
        audience=None if banner.audience is None else compile_audience(banner.audience),
    )


def _category_rows(entry: CompiledBanner, stock: Stock) -> list[int]:
    """Return the first `MAX_ADVERTISED` items under the categories of a banner."""
    wanted = {label for label in entry.labels if label.startswith("c:")}
    if not wanted:
        return []
    items = stock.snapshot.items
    under = np.array([not wanted.isdisjoint(paths) for paths in stock.category_path_labels])
    rows: list[int] = []
    for begin in range(0, len(items.category_rows) if under.any() else 0, LOOKED_AT_ONCE):
        some = items.category_rows[begin : begin + LOOKED_AT_ONCE]
        found = (under.take(some) & (some != MISSING_ROW)).nonzero()[0]
        rows += (begin + found[: MAX_ADVERTISED - len(rows)]).tolist()
        if len(rows) == MAX_ADVERTISED:
            break
    return rows
