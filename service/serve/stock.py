"""The stock: one snapshot with what serving looks up again and again kept as Python objects."""

from __future__ import annotations

from functools import cached_property
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.ready_candidates import ReadyCandidates
from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.control.rule import Selection
from service.serve.shared_candidates import SharedCandidates

MAX_CACHED = 50_000
"""Entries of each look-up cache; a full one is emptied, so that memory stays bounded."""

PATH_SEPARATOR = " > "

_EMPTY_CARD = b"{}"

K = TypeVar("K")
V = TypeVar("V")


class Item(msgspec.Struct, frozen=True, gc=False):
    """What filling a slate needs to know of an item."""

    row: int
    """Row in the snapshot; below -1 for an item that only a static list knows."""
    id: str
    attributes: msgspec.Raw
    category_row: int
    """-1 where unknown; the same for the brand."""
    brand_row: int


class Card(msgspec.Struct, frozen=True):
    """The fields of an item's card that a banner may advertise."""

    title: str | None = None
    brand: str | None = None
    attributes: list[object] | dict[str, object] | None = None


_CARD = msgspec.json.Decoder(Card)


class Stock:
    """A snapshot behind look-ups; it outlives changes of the configuration."""

    def __init__(
        self,
        snapshot: Snapshot,
        ready: ReadyCandidates | None = None,
        shared: SharedCandidates | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.ready = ready
        """What is worked out ahead of the users of the snapshot."""
        self.shared = None if shared is None else shared.of(snapshot.manifest)
        """What any worker of this machine has worked out of a history."""
        self.segment_names = list(snapshot.users.segment_keys)
        # The same memory: one value of a view costs a third of one of an array.
        self._category_rows = snapshot.items.category_rows.data
        self._brand_rows = snapshot.items.brand_rows.data
        self._items: dict[int, Item] = {}
        self._rows: dict[str, int] = {}
        self._category_labels: dict[int, frozenset[str]] = {}
        self._card_labels: dict[int, frozenset[str]] = {}
        self.selected: dict[tuple[Selection, int], NDArray[np.int64]] = {}
        """What `selection` has found out."""

    def __len__(self) -> int:
        return len(self.snapshot.items.ids)

    def item(self, row: int) -> Item:
        """Return the item of a row, ``0 <= row < len(self)``."""
        item = self._items.get(row)
        if item is None:
            item = Item(
                row,
                self.snapshot.items.ids.id(row),
                msgspec.Raw(self.snapshot.items.cards[row] or _EMPTY_CARD),
                self._category_rows[row],
                self._brand_rows[row],
            )
            _keep(self._items, row, item)
        return item

    def row(self, item_id: str) -> int:
        """Return the row of an item, or `MISSING_ROW` if the model does not know it."""
        row = self._rows.get(item_id)
        if row is None:
            row = self.snapshot.items.ids.row(item_id)
            if row != MISSING_ROW:  # unknown ids come from outside and have no end
                _keep(self._rows, item_id, row)
        return row

    def known_rows(self, item_ids: tuple[str, ...]) -> list[int]:
        """Return the rows of those items that the model knows, in order."""
        return [row for row in map(self.row, item_ids) if row != MISSING_ROW]

    def category(self, row: int) -> str | None:
        """Return the category path of an item."""
        items = self.snapshot.items
        category_row = int(items.category_rows[row])
        return None if category_row == MISSING_ROW else items.categories.id(category_row)

    def category_labels(self, category_row: int) -> frozenset[str]:
        """Name what a banner may advertise of a category: paths, and words as attributes."""
        labels = self._category_labels.get(category_row)
        if labels is None:
            labels = frozenset[str]()
            if category_row != MISSING_ROW:
                category = self.snapshot.items.categories.id(category_row)
                labels = frozenset(map(category_label, category_paths(category)))
                labels |= frozenset(map(attribute_label, category.split(PATH_SEPARATOR)))
            _keep(self._category_labels, category_row, labels)
        return labels

    def card_labels(self, row: int) -> frozenset[str]:
        """Name what a banner may advertise of an item's card, see `attribute_label`."""
        labels = self._card_labels.get(row)
        if labels is None:
            labels = frozenset(map(attribute_label, card_words(self.snapshot.items.cards[row])))
            _keep(self._card_labels, row, labels)
        return labels

    @cached_property
    def category_path_labels(self) -> list[frozenset[str]]:
        """Name each category and those above it, as a banner may advertise them."""
        labels = map(category_label, self.snapshot.items.categories)
        return [frozenset(category_paths(label)) for label in labels]

    @cached_property
    def by_popularity(self) -> NDArray[np.int64]:
        """Every row by falling popularity; equals by row."""
        return np.argsort(-self.snapshot.items.popularity, kind="stable")

    @cached_property
    def cold_rows(self) -> NDArray[np.int64]:
        """Rows without an interaction in the training window, the newest first."""
        items = self.snapshot.items
        rows = np.flatnonzero(items.n_interactions == 0)
        return rows[np.argsort(-items.created_at_ms[rows], kind="stable")]


def card_words(card: bytes) -> list[str]:
    """List the brand, the words of the title and the attributes of a card, also `name:value`."""
    words: list[str] = []
    try:
        known = _CARD.decode(card or _EMPTY_CARD)
    except msgspec.DecodeError:
        return words  # a card of another shape is still shown, it only advertises nothing
    if known.brand:
        words.append(known.brand)
    if known.title:
        words += known.title.split()
    if isinstance(known.attributes, dict):
        words += [str(value) for value in known.attributes.values()]
        words += [f"{name}:{value}" for name, value in known.attributes.items()]
    elif known.attributes:
        for word in map(str, known.attributes):
            # The trainer writes an attribute that has a name as `name=value`.
            name, sign, value = word.partition("=")
            words += [word, value, f"{name}:{value}"] if sign else [word]
    return words


def category_paths(category: str) -> list[str]:
    """Return a category path and those above it, the longest first."""
    parts = category.split(PATH_SEPARATOR)
    return [PATH_SEPARATOR.join(parts[:n]) for n in range(len(parts), 0, -1)]


def category_label(path: str) -> str:
    """Name a category path for comparison; case and spaces around the separator do not count."""
    return "c:" + PATH_SEPARATOR.join(part.strip().casefold() for part in path.split(">"))


def attribute_label(attribute: str) -> str:
    """Name an attribute, a brand or a word of a title for comparison; case does not count."""
    return "a:" + attribute.strip().casefold()


def is_attribute(label: str) -> bool:
    """Whether `attribute_label` made a label."""
    return label.startswith("a:")


def _keep(cache: dict[K, V], key: K, value: V) -> None:
    if len(cache) >= MAX_CACHED:
        cache.clear()
    cache[key] = value
