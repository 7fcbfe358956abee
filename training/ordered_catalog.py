"""The kept rows of a catalogue in the order of the items' numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.dataset import Catalog
from models.errors import ConfigError


def are_listed(items: pl.DataFrame | None, names: Sequence[str]) -> NDArray[np.bool_]:
    """Say of each item whether the catalogue lists it; of all, where there is no catalogue."""
    if items is None:
        return np.ones(len(names), dtype=np.bool_)
    return pl.Series(names).is_in(items["item_id"].implode()).to_numpy()


def order_catalog(
    items: pl.DataFrame | None, names: Sequence[str], is_offered: NDArray[np.bool_]
) -> Catalog:
    """Bring the catalogue into the order of `names`; what is not `is_offered` cannot be bought."""
    if items is None:
        items = pl.DataFrame(schema=_EMPTY)
    wanted = pl.DataFrame({"item_id": names}, schema={"item_id": pl.String})
    rows = wanted.join(items, on="item_id", how="left", maintain_order="left")
    return Catalog(
        titles=rows["title"].to_list(),
        categories=rows["category"].to_list(),
        brands=rows["brand"].to_list(),
        attributes=[words or [] for words in rows["attributes"].to_list()],
        price=rows["price"].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
        available=rows["available"].fill_null(True).to_numpy() & is_offered,
        created_at_ms=rows["created_at_ms"].fill_null(0).to_numpy(),
        image_urls=rows["image_url"].to_list(),
        urls=rows["url"].to_list(),
        vectors=_vectors(rows["vector"]),
    )


def _vectors(column: pl.Series) -> NDArray[np.float32] | None:
    """Stack ready-made embeddings; an item without one has zeros."""
    widths = column.list.len().drop_nulls().unique().sort().to_list()
    if not widths:
        return None
    if len(widths) > 1:
        raise ConfigError(
            f"the vectors of the catalog have different lengths {widths[:5]}; all need the same"
        )
    nothing = [0.0] * widths[0]
    return np.array([vector or nothing for vector in column.to_list()], dtype=np.float32)


_EMPTY: dict[str, type[pl.DataType] | pl.DataType] = {
    "item_id": pl.String,
    "title": pl.String,
    "category": pl.String,
    "brand": pl.String,
    "image_url": pl.String,
    "url": pl.String,
    "price": pl.Float64,
    "available": pl.Boolean,
    "attributes": pl.List(pl.String),
    "vector": pl.List(pl.Float32),
    "created_at_ms": pl.Int64,
}
