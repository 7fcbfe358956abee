"""What a merchandiser reads of the catalogue: a list, one item, and the whole in numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from service.catalogue.index import FEW_INTERACTIONS, FIELDS, CatalogueIndex, Field
from service.control.configuration import Configuration
from service.reports.catalogue import effective_size

Status = Literal["all", "hidden", "unavailable", "cold", "unmatched", "incomplete", "not_shown"]
STATUSES: tuple[Status, ...] = get_args(Status)
NEIGHBOURS = 12
NEXT_TO = 3


class Companion(msgspec.Struct, frozen=True, kw_only=True):
    """An item beside another one."""

    id: str
    title: str | None
    weight: Annotated[float, Meta(description="how loudly the one speaks for the other")]


class ListedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the catalogue, and what is set about it."""

    id: str
    title: str | None
    category: str | None
    brand: str | None
    price: float | None
    image_url: str | None
    available: Annotated[bool, Meta(description="whether it can be bought, as serving sees it")]
    available_in_catalogue: bool
    available_set: Annotated[
        bool | None, Meta(description="what is set since the training; null takes the catalogue's")
    ]
    hidden: bool
    interactions: Annotated[int, Meta(description="in the training window")]
    is_cold: Annotated[bool, Meta(description=f"fewer than {FEW_INTERACTIONS} interactions")]
    is_unmatched: Annotated[bool, Meta(description="no attribute: it resembles nothing")]
    missing: Annotated[list[Field], Meta(description="what the catalogue does not say of it")]
    shown: Annotated[int, Meta(description="how often placements showed it in the period")]
    next_to: Annotated[
        list[Companion], Meta(description="items that recommend it most, the loudest first")
    ]


class FoundItems(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a search."""

    total: int
    offset: int
    items: list[ListedItem]


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """One item with its neighbourhood."""

    item: ListedItem
    url: str | None
    speaks_for: Annotated[list[Companion], Meta(description="what it recommends")]
    similar: Annotated[list[Companion], Meta(description="nearest by attributes")]
    bought_together: list[Companion]


class Department(msgspec.Struct, frozen=True, kw_only=True):
    """The items below one top of the category paths; empty for those without a category."""

    name: str
    items: int
    shown: int
    share: float


class CatalogueSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The catalogue in numbers."""

    model_version: str
    items: int
    available: Annotated[int, Meta(description="can be bought and is not hidden")]
    hidden: int
    unavailable: int
    cold: int
    unmatched: int
    incomplete: Annotated[int, Meta(description="without title, category, brand or price")]
    missing: dict[str, int]
    shown: Annotated[int, Meta(description="shown at least once in the period")]
    not_shown: Annotated[int, Meta(description="could have been shown and was not")]
    effective: Annotated[int, Meta(description="items that carry 90 % of what was shown")]
    departments: list[Department]


class CatalogueView:
    """An index under one configuration, with how often each item was shown."""

    def __init__(
        self, index: CatalogueIndex, configuration: Configuration, n_shown: Mapping[str, int]
    ) -> None:
        self._index = index
        self._configuration = configuration
        items = index.snapshot.items
        self._shown = np.zeros(len(index), dtype=np.int64)
        for item_id, n in n_shown.items():
            row = index.row_of.get(item_id)
            if row is not None:
                self._shown[row] = n
        self._hidden = self._mask(configuration.hidden_items)
        self._available = np.array(items.available, dtype=np.bool_)
        self._available[self._mask(configuration.available_items)] = True
        self._available[self._mask(configuration.unavailable_items)] = False
        lacks = index.lacks
        self._of_status: dict[Status, NDArray[np.bool_]] = {
            "all": np.ones(len(index), dtype=np.bool_),
            "hidden": self._hidden,
            "unavailable": ~self._available,
            "cold": index.is_cold,
            "unmatched": index.is_unmatched,
            "incomplete": lacks["title"] | lacks["category"] | lacks["brand"] | lacks["price"],
            "not_shown": (self._shown == 0) & self._available & ~self._hidden,
        }

    def search(self, query: str, status: Status, offset: int, limit: int) -> FoundItems:
        """Return the items of a status that hold every word of the query, the nearest first."""
        rows = self._index.search(query, self._of_status[status])
        page = rows[offset : offset + limit].tolist()
        speakers = self._index.speakers(page, NEXT_TO)
        return FoundItems(
            total=len(rows),
            offset=offset,
            items=[
                self._list(row, [self._companion(*one) for one in speakers[row]]) for row in page
            ],
        )

    def item(self, item_id: str) -> ItemView | None:
        """Return one item, or nothing if the model does not know it."""
        snapshot = self._index.snapshot
        row = self._index.row_of.get(item_id)
        if row is None:
            return None
        speakers = self._index.speakers([row], NEIGHBOURS)[row]
        lists = [
            [
                self._companion(neighbour, weight)
                for neighbour, weight in zip(
                    rows[:NEIGHBOURS].tolist(), weights[:NEIGHBOURS].tolist(), strict=True
                )
            ]
            for rows, weights in (
                snapshot.graph[row],
                snapshot.similar[row],
                snapshot.bought_together[row],
            )
        ]
        return ItemView(
            item=self._list(row, [self._companion(*one) for one in speakers]),
            url=self._index.cards[row].url,
            speaks_for=lists[0],
            similar=lists[1],
            bought_together=lists[2],
        )

    def summary(self) -> CatalogueSummary:
        """Count the catalogue."""
        index = self._index
        names, of_item = index.departments()
        return CatalogueSummary(
            model_version=index.snapshot.version,
            items=len(index),
            available=int((self._available & ~self._hidden).sum()),
            hidden=int(self._hidden.sum()),
            unavailable=int((~self._available).sum()),
            cold=int(index.is_cold.sum()),
            unmatched=int(index.is_unmatched.sum()),
            incomplete=int(self._of_status["incomplete"].sum()),
            missing={field: int(index.lacks[field].sum()) for field in FIELDS},
            shown=int((self._shown > 0).sum()),
            not_shown=int(self._of_status["not_shown"].sum()),
            effective=effective_size(self._shown[self._shown > 0].tolist()),
            departments=[
                found
                for number, name in ((-1, ""), *enumerate(names))
                if (found := self._department(name, of_item == number)) is not None
            ],
        )

    def _department(self, name: str, members: NDArray[np.bool_]) -> Department | None:
        n = int(members.sum())
        if not n:
            return None
        shown = int((self._shown[members] > 0).sum())
        return Department(name=name, items=n, shown=shown, share=shown / n)

    def _mask(self, item_ids: frozenset[str]) -> NDArray[np.bool_]:
        mask = np.zeros(len(self._index), dtype=np.bool_)
        rows = map(self._index.row_of.get, item_ids)
        mask[[row for row in rows if row is not None]] = True
        return mask

    def _companion(self, row: int, weight: float) -> Companion:
        index = self._index
        return Companion(id=index.ids[row], title=index.cards[row].title, weight=round(weight, 6))

    def _list(self, row: int, next_to: list[Companion]) -> ListedItem:
        index, items = self._index, self._index.snapshot.items
        item_id, card = index.ids[row], index.cards[row]
        configuration = self._configuration
        is_set = {True: configuration.available_items, False: configuration.unavailable_items}
        return ListedItem(
            id=item_id,
            title=card.title,
            category=index.category(row),
            brand=index.brand(row),
            price=None if index.lacks["price"][row] else round(float(items.price[row]), 2),
            image_url=card.image_url,
            available=bool(self._available[row]),
            available_in_catalogue=bool(items.available[row]),
            available_set=next((word for word, ids in is_set.items() if item_id in ids), None),
            hidden=bool(self._hidden[row]),
            interactions=int(items.n_interactions[row]),
            is_cold=bool(index.is_cold[row]),
            is_unmatched=bool(index.is_unmatched[row]),
            missing=[field for field in FIELDS if index.lacks[field][row]],
            shown=int(self._shown[row]),
            next_to=next_to,
        )
