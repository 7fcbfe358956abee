"""Which rows of a model a rule selects: worked out once per selection and model version."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.ragged import Texts
from service.control.rule import Selection
from service.serve.stock import Stock, attribute_label, card_words, category_label

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MAX_KEPT = 500
"""Selections that a stock remembers; a full memory is emptied."""

Rows = NDArray[np.int64]


def select_rows(selection: Selection, stock: Stock, now_ms: int) -> Rows:
    """Return the rows, ascending, that fit every field of a selection; the stock remembers them.

    What depends on the time is looked at anew each hour.
    """
    key = (selection, hour_of(selection, now_ms))
    rows = stock.selected.get(key)
    if rows is None:
        if len(stock.selected) >= MAX_KEPT:
            stock.selected.clear()
        rows = stock.selected[key] = _find_rows(selection, stock, now_ms)
    return rows


def hour_of(selection: Selection, now_ms: int) -> int:
    """Number the hour, for a selection that the time changes; 0 for any other."""
    return 0 if selection.new_for_days is None else now_ms // HOUR_MS


def _find_rows(selection: Selection, stock: Stock, now_ms: int) -> Rows:
    items = stock.snapshot.items
    rows = np.arange(len(stock), dtype=np.int64)
    if selection.item_ids:
        rows = np.unique(np.array(stock.known_rows(selection.item_ids), dtype=np.int64))
    if selection.categories:
        wanted = tuple(f"{category_label(path)} > " for path in selection.categories)
        under = [
            number
            for number, path in enumerate(items.categories)
            if f"{category_label(path)} > ".startswith(wanted)
        ]
        rows = rows[np.isin(items.category_rows[rows], under)]
    if selection.brands:
        folded = {brand.strip().casefold() for brand in selection.brands}
        brands = [n for n, brand in enumerate(items.brands) if brand.strip().casefold() in folded]
        rows = rows[np.isin(items.brand_rows[rows], brands)]
    # A price that is not known, NaN, is in no range.
    if selection.price_at_least is not None:
        rows = rows[items.price[rows] >= selection.price_at_least]
    if selection.price_below is not None:
        rows = rows[items.price[rows] < selection.price_below]
    if selection.without_interactions:
        rows = rows[items.n_interactions[rows] == 0]
    if selection.new_for_days is not None:
        since_ms = now_ms - selection.new_for_days * DAY_MS
        rows = rows[items.created_at_ms[rows] >= max(since_ms, 1)]
    if selection.attributes:
        rows = _with_words(selection.attributes, rows, items.cards)
    return rows


def _with_words(attributes: tuple[str, ...], rows: Rows, cards: Texts) -> Rows:
    """Keep the rows whose cards have one of these attributes."""
    wanted = {attribute_label(one) for one in attributes}
    needles = [_needle(one) for one in attributes]
    found = []
    for row in rows.tolist():
        card = cards[row]
        folded = card.lower()
        # Most cards hold none of the texts at all, and need not be parsed.
        if any(needle in folded for needle in needles):
            labels = map(attribute_label, card_words(card))
            if not wanted.isdisjoint(labels):
                found.append(row)
    return np.array(found, dtype=np.int64)


def _needle(attribute: str) -> bytes:
    """Return bytes that a card with this attribute surely holds, in lower case.

    Of ``name:value`` that is the value; what JSON or folding may write otherwise proves nothing.
    """
    text = attribute.strip().partition(":")[2] or attribute.strip()
    plain = text.isascii() and msgspec.json.encode(text) == f'"{text}"'.encode()
    return text.lower().encode() if plain else b""
