"""An index over the items of one snapshot: what they are called, and what is missing of them.

Made once per model version, when the catalogue is first asked for; a search reads one short text
per item, some milliseconds for 50,000.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.serve.cards import read_card
from service.serve.stock import PATH_SEPARATOR

FEW_INTERACTIONS = 5
"""An item with fewer is cold: what it is recommended for comes from its attributes."""

Field = Literal["title", "category", "brand", "price", "image_url"]
FIELDS: tuple[Field, ...] = get_args(Field)


class Speaker(NamedTuple):
    """An item in whose company another one is recommended, and how loudly."""

    row: int
    weight: float


class CatalogueIndex:
    """The items of a snapshot behind a search; n items."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        items = snapshot.items
        self.ids = list(items.ids)
        self.row_of = {item_id: row for row, item_id in enumerate(self.ids)}
        self.categories = list(items.categories)
        self.brands = list(items.brands)
        self.cards = [read_card(items.cards[row]) for row in range(len(self.ids))]
        self._texts = [self._text(row) for row in range(len(self.ids))]
        self.is_cold: NDArray[np.bool_] = np.asarray(items.n_interactions < FEW_INTERACTIONS)
        """(n,) so few interactions that only attributes speak for it."""
        self.lacks: dict[Field, NDArray[np.bool_]] = {
            "title": np.array([not card.title for card in self.cards], dtype=np.bool_),
            "category": np.asarray(items.category_rows == MISSING_ROW),
            "brand": np.asarray(items.brand_rows == MISSING_ROW),
            "price": np.isnan(items.price),
            "image_url": np.array([not card.image_url for card in self.cards], dtype=np.bool_),
        }
        has_words = np.array([card.has_attributes for card in self.cards], dtype=np.bool_)
        for field in ("title", "category", "brand"):
            has_words |= ~self.lacks[field]
        self.is_unmatched: NDArray[np.bool_] = ~has_words | ~np.any(items.content, axis=1)
        """(n,) nothing but a price, at most, so there is nothing that it resembles."""

    def __len__(self) -> int:
        return len(self.ids)

    def category(self, row: int) -> str | None:
        """Name the category of an item."""
        number = int(self.snapshot.items.category_rows[row])
        return None if number == MISSING_ROW else self.categories[number]

    def brand(self, row: int) -> str | None:
        """Name the brand of an item."""
        number = int(self.snapshot.items.brand_rows[row])
        return None if number == MISSING_ROW else self.brands[number]

    def departments(self) -> tuple[list[str], NDArray[np.int32]]:
        """Return the first parts of all category paths, and which one each item is in.

        The second is of shape (n,), with -1 for an item without a category.
        """
        tops = [category.split(PATH_SEPARATOR)[0] for category in self.categories]
        names = sorted(set(tops))
        number_of = {name: number for number, name in enumerate(names)}
        of_category = np.array([*(number_of[top] for top in tops), -1], dtype=np.int32)
        return names, of_category[self.snapshot.items.category_rows]

    def search(self, query: str, kept: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Find the items of `kept`, shape (n,), that hold every word of the query.

        Words are parts of id, title, category or brand, whatever their case. The item whose id is
        the query comes first, then titles that begin with it, then the popular ones.
        """
        wanted = query.casefold().strip()
        found = np.flatnonzero(kept)
        for word in sorted(wanted.split(), key=len, reverse=True):
            texts = self._texts
            found = np.array([row for row in found.tolist() if word in texts[row]], dtype=np.intp)
        popularity = self.snapshot.items.popularity[found]
        if not wanted:
            return found[np.argsort(-popularity, kind="stable")]
        nearness = np.array([self._nearness(row, wanted) for row in found.tolist()], dtype=np.int8)
        return found[np.lexsort((-popularity, nearness))]

    def speakers(self, rows: list[int], k: int) -> dict[int, list[Speaker]]:
        """Return for each item the `k` items that recommend it most loudly."""
        if not rows:
            return {}
        graph = self.snapshot.graph
        is_asked = np.zeros(len(self) + 1, dtype=np.bool_)
        is_asked[rows] = True
        places = np.flatnonzero(is_asked[graph.rows])
        of_place = np.searchsorted(graph.offsets, places, side="right") - 1
        found: dict[int, list[Speaker]] = {row: [] for row in rows}
        order = np.argsort(-graph.weights[places], kind="stable")
        for place, speaker in zip(places[order].tolist(), of_place[order].tolist(), strict=True):
            speakers = found[int(graph.rows[place])]
            if len(speakers) < k:
                speakers.append(Speaker(speaker, float(graph.weights[place])))
        return found

    def _text(self, row: int) -> str:
        parts = (self.ids[row], self.cards[row].title, self.category(row), self.brand(row))
        return "\n".join(part for part in parts if part).casefold()

    def _nearness(self, row: int, wanted: str) -> int:
        if self.ids[row].casefold() == wanted:
            return 0
        title = self.cards[row].title
        return 1 if title is not None and title.casefold().startswith(wanted) else 2
