"""A snapshot from a dataset and the hybrid fitted on it: what is published and served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.dataset import Catalog, Dataset
from models.distinct import distinct
from models.events import InteractionKind
from models.histories import Histories
from models.manifest import Blend, Manifest, SegmentSummary
from models.ragged import Neighbours, RowLists, Texts, offsets_of
from models.recommenders.alike import Alike, dense_rows, most_alike
from models.recommenders.bought_together import bought_together
from models.recommenders.hybrid import Hybrid
from models.recommenders.priors import build_priors
from models.recommenders.rounding import exact_cosines
from models.snapshot import ItemTable, Priors, Snapshot, UserTable
from models.vocabulary import MISSING_ROW, Vocabulary
from training.segment_tables import add_segment_priors, summarise
from training.segments import Segments, find_segments

SIMILAR_K = 50
BOUGHT_TOGETHER_K = 50
MAX_HISTORY = 100
"""Newest items of a user that a snapshot keeps."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All of a version that can be made before the hybrid is fitted."""

    items: ItemTable
    """Without factors."""
    users: UserTable
    similar: Neighbours
    bought_together: Neighbours
    priors: Priors
    segments: dict[str, SegmentSummary]

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        histories: Histories,
        popularity: NDArray[np.float32],
        content: NDArray[np.float32],
        blend: Blend,
    ) -> Self:
        """Make the tables; `histories` are those of all users now, `content` has unit rows."""
        now_ms = histories.now_ms
        segments = find_segments(dataset, now_ms)
        priors = build_priors(dataset, popularity, blend, now_ms=now_ms)
        return cls(
            items=_items(dataset, popularity, content),
            users=_users(dataset, segments, histories),
            similar=similar_items(content, SIMILAR_K),
            bought_together=bought_together(dataset, BOUGHT_TOGETHER_K),
            priors=add_segment_priors(priors, segments, histories.weights(blend, dataset.n_items)),
            segments=summarise(dataset, segments),
        )

    def around(self, hybrid: Hybrid, manifest: Manifest) -> Snapshot:
        """Put the hybrid in."""
        return Snapshot(
            manifest=msgspec.structs.replace(manifest, segments=self.segments),
            items=replace(self.items, factors=hybrid.factors, fold_in=hybrid.fold_in),
            users=self.users,
            graph=hybrid.graph,
            similar=self.similar,
            bought_together=self.bought_together,
            priors=self.priors,
        )


def build_snapshot(
    dataset: Dataset,
    hybrid: Hybrid,
    content: NDArray[np.float32],
    manifest: Manifest,
    now_ms: int,
) -> Snapshot:
    """Put the tables of a version together; `content` is the unit-length embedding of the items."""
    histories = Histories.of(dataset.interactions, dataset.n_users, now_ms)
    surroundings = Surroundings.of(dataset, histories, hybrid.popularity, content, manifest.blend)
    return surroundings.around(hybrid, manifest)


def similar_items(content: NDArray[np.float32], k: int) -> Neighbours:
    """Rank each item's nearest by cosine of the content embedding."""
    n_items = len(content)
    if not content.any():
        return Neighbours.from_csr(csr_matrix((n_items, n_items), dtype=np.float32), k)

    alike = Alike.of(dense_rows(content))
    kinds = content[alike.firsts].astype(np.float64)

    def similarity(block: slice) -> NDArray[np.float32]:
        return exact_cosines(kinds[block], kinds)

    return Neighbours.from_csr(most_alike(alike, similarity, k), k)


def _items(
    dataset: Dataset, popularity: NDArray[np.float32], content: NDArray[np.float32]
) -> ItemTable:
    catalog = dataset.catalog
    no_factors = np.empty((dataset.n_items, 0), dtype=np.float32)
    categories, category_rows = _number(catalog.categories)
    brands, brand_rows = _number(catalog.brands)
    counts = np.bincount(dataset.interactions.item_rows, minlength=dataset.n_items)
    return ItemTable(
        ids=dataset.item_ids,
        popularity=popularity,
        n_interactions=counts.astype(np.int32),
        factors=no_factors,
        fold_in=no_factors,
        content=content,
        available=catalog.available.astype(np.bool_),
        price=catalog.price,
        created_at_ms=catalog.created_at_ms.astype(np.int64),
        category_rows=category_rows,
        brand_rows=brand_rows,
        categories=categories,
        brands=brands,
        cards=Texts.of(_card(catalog, item) for item in range(dataset.n_items)),
    )


def _card(catalog: Catalog, item: int) -> bytes:
    """Encode what a page shows of an item; what is unknown is left out."""
    price = float(catalog.price[item])
    card = {
        "title": catalog.titles[item],
        "category": catalog.categories[item],
        "brand": catalog.brands[item],
        # From the float32's shortest text, or 6.95 would be shown as 6.949999809265137.
        "price": float(str(catalog.price[item])) if np.isfinite(price) else None,
        "image_url": catalog.image_urls[item],
        "url": catalog.urls[item],
        "attributes": catalog.attributes[item] or None,
    }
    return msgspec.json.encode({name: value for name, value in card.items() if value is not None})


def _number(names: Iterable[str | None]) -> tuple[Vocabulary, NDArray[np.int32]]:
    listed = list(names)
    known = {name: row for row, name in enumerate(sorted({name for name in listed if name}))}
    rows = [MISSING_ROW if not name else known[name] for name in listed]
    return Vocabulary.from_ids(known), np.array(rows, dtype=np.int32)


def _users(dataset: Dataset, segments: Segments, histories: Histories) -> UserTable:
    newest = histories.take(np.arange(dataset.n_users), max_recent=MAX_HISTORY)
    return UserTable(
        ids=dataset.user_ids,
        history=newest.items,
        history_kinds=newest.kinds,
        history_at_ms=newest.at_ms,
        purchased=_purchased(dataset),
        segments=segments.members,
        segment_keys=segments.keys,
    )


def _purchased(dataset: Dataset) -> RowLists:
    rows = dataset.interactions
    bought = rows.take(rows.kinds == InteractionKind.PURCHASE)
    pairs = distinct(bought.user_rows.astype(np.int64) << 32 | bought.item_rows)
    counts = np.bincount(pairs >> 32, minlength=dataset.n_users)
    return RowLists(offsets_of(counts), (pairs & 0xFFFFFFFF).astype(np.int32))
