"""A snapshot: the loaded form of a model version, as plain arrays that can be memory-mapped.

The trainer builds one in memory, the artifact store writes it, the service opens it read-only. Row
``i`` of every item array is the item ``items.ids.id(i)``; likewise for users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest
from models.ragged import Neighbours, RowLists, Texts
from models.vocabulary import MISSING_ROW, Vocabulary

Arrays = Mapping[str, NDArray[np.generic]]

POPULAR = "popular"
TRENDING = "trending"


def country_prior(country: str) -> str:
    """Name the prior of a country."""
    return f"country:{country}"


def category_prior(category: str) -> str:
    """Name the prior of a category."""
    return f"category:{category}"


def segment_prior(key: str) -> str:
    """Name the prior of a segment of users."""
    return f"segment:{key}"


def trending_prior(country: str) -> str:
    """Name what is trending in a country."""
    return f"{TRENDING}:{country}"


@dataclass(frozen=True)
class ItemTable:
    """What is known of every item; n items, d factors, c content dimensions."""

    ids: Vocabulary
    popularity: NDArray[np.float32]
    """(n,) the popularity prior, 0 to 1."""
    n_interactions: NDArray[np.int32]
    """(n,) interactions in the training window; 0 is a cold item."""
    factors: NDArray[np.float32]
    """(n, d) the item as a candidate, ``q_i``: multiplied with the factor of the user."""
    fold_in: NDArray[np.float32]
    """(n, d) the item in a history, ``p_j``: what it adds to the factor of the user."""
    content: NDArray[np.float32]
    """(n, c) unit-length content embedding; all zero where an item has no attributes."""
    available: NDArray[np.bool_]
    """(n,) false where the catalogue says the item cannot be bought."""
    price: NDArray[np.float32]
    """(n,) list price, NaN where unknown."""
    created_at_ms: NDArray[np.int64]
    """(n,) when the item came into the catalogue, 0 where unknown."""
    category_rows: NDArray[np.int32]
    """(n,) row in `categories`, -1 where unknown."""
    brand_rows: NDArray[np.int32]
    """(n,) row in `brands`, -1 where unknown."""
    categories: Vocabulary
    brands: Vocabulary
    cards: Texts
    """What a page shows of an item, one JSON object each: title, price, image_url, url, ..."""

    @cached_property
    def is_new(self) -> NDArray[np.bool_] | None:
        """(n,) whether the item has no interactions; nothing where all have some."""
        found: NDArray[np.bool_] = self.n_interactions == 0
        return found if found.any() else None


@dataclass(frozen=True, slots=True)
class UserTable:
    """What is known of every user at training time; m users. Ids are pseudonyms."""

    ids: Vocabulary
    history: RowLists
    """Newest distinct items of each user, oldest first."""
    history_kinds: NDArray[np.int8]
    """(n_values of history,) the strongest `InteractionKind` with the item."""
    history_at_ms: NDArray[np.int64]
    """(n_values of history,) when the newest of these interactions was."""
    purchased: RowLists
    """All items a user has bought and not given back, ascending."""
    segments: RowLists
    """Rows in `segment_keys` of each user, by falling priority."""
    segment_keys: Vocabulary


@dataclass(frozen=True)
class Priors:
    """Ranked lists for whoever has no history, by context: ``popular``, ``country:GB``, ..."""

    keys: Vocabulary
    lists: Neighbours

    def get(self, key: str) -> tuple[NDArray[np.int32], NDArray[np.float32]] | None:
        """Return item rows and scores by falling score, or nothing for an unknown context."""
        row = self.keys.row(key)
        return None if row == MISSING_ROW else self.lists[row]

    @cached_property
    def popular(self) -> tuple[NDArray[np.int32], NDArray[np.float32]] | None:
        """The list of no context at all, which every scoring asks for."""
        return self.get(POPULAR)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One model version, loaded."""

    manifest: Manifest
    items: ItemTable
    users: UserTable
    graph: Neighbours
    """The item graph N: for each item, whom it speaks for and how loudly."""
    similar: Neighbours
    """Nearest items by content embedding."""
    bought_together: Neighbours
    """Items bought in the same orders, by lift."""
    priors: Priors

    @property
    def version(self) -> str:
        """The content hash that names this version."""
        return self.manifest.version

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name every array of the snapshot, nested names joined by dots: ``items.factors``."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for name in _PARTS:
            _flatten(name, getattr(self, name), arrays)
        return arrays

    @classmethod
    def from_arrays(cls, manifest: Manifest, arrays: Arrays) -> Snapshot:
        """Rebuild a snapshot from what `to_arrays` returned, without copying."""
        parts = {name: _rebuild(kind, name, arrays) for name, kind in _PARTS.items()}
        return cls(manifest=manifest, **parts)


_PARTS: dict[str, type] = {
    "items": ItemTable,
    "users": UserTable,
    "graph": Neighbours,
    "similar": Neighbours,
    "bought_together": Neighbours,
    "priors": Priors,
}
_NESTED: dict[str, type] = {
    "Vocabulary": Vocabulary,
    "Texts": Texts,
    "RowLists": RowLists,
    "Neighbours": Neighbours,
}


def _flatten(prefix: str, part: object, into: dict[str, NDArray[np.generic]]) -> None:
    if isinstance(part, np.ndarray):
        into[prefix] = part
    elif isinstance(part, Vocabulary):
        into.update({f"{prefix}.{name}": array for name, array in part.to_arrays().items()})
    else:
        for field in fields(part):  # type: ignore[arg-type]  # every other part is a dataclass
            _flatten(f"{prefix}.{field.name}", getattr(part, field.name), into)


def _rebuild(kind: type, prefix: str, arrays: Arrays) -> Any:
    if kind is Vocabulary:
        return Vocabulary.from_arrays(
            {name: arrays[f"{prefix}.{name}"] for name in ("data", "offsets", "hashes", "rows")}
        )
    values: dict[str, Any] = {}
    for field in fields(kind):
        name = f"{prefix}.{field.name}"
        nested = _NESTED.get(str(field.type))
        values[field.name] = arrays[name] if nested is None else _rebuild(nested, name, arrays)
    return kind(**values)
