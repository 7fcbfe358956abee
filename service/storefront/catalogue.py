"""The catalogue as a shop shows it, read from the live model: products, departments, listings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.control.configuration import Configuration
from service.storefront.pictures.draw import Look

SEPARATOR = " > "
PRODUCTS_PER_PAGE = 24


class _Card(msgspec.Struct, frozen=True):
    title: str | None = None
    price: float | None = None
    brand: str | None = None
    category: str | None = None
    image_url: str | None = None
    attributes: list[object] | dict[str, object] | None = None


_CARD = msgspec.json.Decoder(_Card)


@dataclass(frozen=True, slots=True)
class Product:
    """One item as a page shows it."""

    id: str
    title: str
    price: float | None
    brand: str | None
    category: str | None
    attributes: tuple[str, ...]
    image_url: str
    is_available: bool

    @property
    def url(self) -> str:
        """Where its page is."""
        return f"/demo/items/{quote(self.id, safe='')}"

    @property
    def look(self) -> Look:
        """What its drawing is made from."""
        return Look(self.id, self.category, self.attributes, self.title)


@dataclass(frozen=True, slots=True)
class Category:
    """A category of any level."""

    path: str
    url: str
    children: list[Category] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition(SEPARATOR)[2]


def picture_url(item_id: str) -> str:
    """Say where the drawing of an item is."""
    return f"/demo/pictures/{quote(item_id, safe='')}.svg"


def slug_of(path: str) -> str:
    """Write a category path as an address: ``Home > Kitchen`` is ``home/kitchen``."""
    parts = (re.sub(r"[^\w]+", "-", part.lower()).strip("-") for part in path.split(SEPARATOR))
    return "/".join(part or "-" for part in parts)


class Catalogue:
    """One model version's items; made once for each."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        items = snapshot.items
        # The most popular first, and the order does not change between two looks.
        self._ranked = np.lexsort((np.arange(len(items.ids)), -items.popularity))
        self._paths = [items.categories.id(row) for row in range(len(items.categories))]
        self.by_slug = _tree(self._paths)
        self.departments = [
            category for category in self.by_slug.values() if SEPARATOR not in category.path
        ]

    @property
    def version(self) -> str:
        """The model version it was read from."""
        return self._snapshot.version

    def product(self, item_id: str, configuration: Configuration) -> Product | None:
        """Find an item; nothing if the model does not know it or it is hidden."""
        row = self._snapshot.items.ids.row(item_id)
        if row == MISSING_ROW or item_id in configuration.hidden_items:
            return None
        return self._read(row, item_id, configuration)

    def products(self, item_ids: Iterable[str], configuration: Configuration) -> list[Product]:
        """Find those of some items that can be bought, in order."""
        found = (self.product(item_id, configuration) for item_id in item_ids)
        return [one for one in found if one is not None and one.is_available]

    def listing(
        self, path: str, configuration: Configuration, *, page: int = 1
    ) -> tuple[list[Product], int]:
        """Return a page of what a category holds, by popularity, and how many items it holds."""
        under = [
            row
            for row, known in enumerate(self._paths)
            if not path or f"{known}{SEPARATOR}".startswith(f"{path}{SEPARATOR}")
        ]
        items = self._snapshot.items
        rows = self._ranked[self._shown(configuration)[self._ranked]]
        if path:
            rows = rows[np.isin(items.category_rows[rows], under)]
        begin = (page - 1) * PRODUCTS_PER_PAGE
        chosen = rows[begin : begin + PRODUCTS_PER_PAGE].tolist()
        return [self._read(row, items.ids.id(row), configuration) for row in chosen], len(rows)

    def best(self, path: str, configuration: Configuration, n: int) -> list[Product]:
        """Return the most popular items of a category, or of all for an empty path."""
        return self.listing(path, configuration)[0][:n]

    def _shown(self, configuration: Configuration) -> NDArray[np.bool_]:
        """Tell which items may be listed, shape (n,)."""
        items = self._snapshot.items
        shown = np.array(items.available, dtype=np.bool_)
        for ids, is_shown in (
            (configuration.available_items, True),
            (configuration.unavailable_items, False),
            (configuration.hidden_items, False),
        ):
            rows = [row for row in map(items.ids.row, ids) if row != MISSING_ROW]
            shown[rows] = is_shown
        return shown

    def _is_available(self, row: int, item_id: str, configuration: Configuration) -> bool:
        if item_id in configuration.unavailable_items:
            return False
        listed = bool(self._snapshot.items.available[row])
        return listed or item_id in configuration.available_items

    def _read(self, row: int, item_id: str, configuration: Configuration) -> Product:
        card = _CARD.decode(self._snapshot.items.cards[row] or b"{}")
        attributes = card.attributes or []
        if isinstance(attributes, dict):
            attributes = [f"{name}:{value}" for name, value in attributes.items()]
        return Product(
            id=item_id,
            title=card.title or item_id,
            price=card.price,
            brand=card.brand,
            category=card.category,
            attributes=tuple(map(str, attributes)),
            image_url=card.image_url or picture_url(item_id),
            is_available=self._is_available(row, item_id, configuration),
        )


def _tree(paths: Iterable[str]) -> dict[str, Category]:
    """Make every category of every level, by its slug, parents first."""
    found: dict[str, Category] = {}
    for path in sorted(paths):
        parts = path.split(SEPARATOR)
        for level in range(1, len(parts) + 1):
            above = SEPARATOR.join(parts[:level])
            slug = slug_of(above)
            if slug in found:
                continue
            found[slug] = Category(above, f"/demo/shop/{quote(slug)}")
            if level > 1:
                found[slug_of(SEPARATOR.join(parts[: level - 1]))].children.append(found[slug])
    return found
