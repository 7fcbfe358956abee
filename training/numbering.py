"""Kept rows with a number instead of each id, in an order that the files have no part in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.dataset import Interactions

Pseudonym = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Numbered:
    """Interactions, refunds among them, and what their numbers stand for."""

    interactions: Interactions
    user_keys: list[str]
    item_ids: list[str]
    countries: list[str]
    channels: list[str]


def number_rows(kept: pl.DataFrame, items: pl.DataFrame | None, pseudonym: Pseudonym) -> Numbered:
    """Number users, items, orders, countries and channels; items of the catalogue count, too."""
    user_rows, user_keys = _number_users(kept, pseudonym)
    item_ids = kept["item_id"].unique()
    if items is not None:
        item_ids = pl.concat([item_ids, items["item_id"]]).unique()
    names = item_ids.sort().to_list()
    orders, countries, channels = (
        kept[name].drop_nulls().unique().sort().to_list()
        for name in ("order_id", "country", "channel")
    )
    numbered = pl.DataFrame(
        {
            "at_ms": kept["at_ms"],
            "user": user_rows,
            "item": _rows_of(kept["item_id"], names),
            "kind": kept["kind"],
            "order": _rows_of(kept["order_id"], orders),
            "quantity": kept["quantity"],
            "price": kept["price"],
            "country": _rows_of(kept["country"], countries),
            "channel": _rows_of(kept["channel"], channels),
        }
    )
    return Numbered(_sort(numbered, user_keys), user_keys, names, countries, channels)


def _sort(numbered: pl.DataFrame, user_keys: Sequence[str]) -> Interactions:
    """Sort by every column, so that the order of the files' rows changes nothing."""
    # By the text of the key, as by the other texts, whose numbers are in their order.
    by_key = np.array(sorted(range(len(user_keys)), key=user_keys.__getitem__), dtype=np.int32)
    places = np.empty_like(by_key)
    places[by_key] = np.arange(len(by_key), dtype=np.int32)
    numbered = numbered.with_columns(pl.Series("user", places[numbered["user"].to_numpy()]))
    numbered = numbered.sort(numbered.columns)
    return Interactions(
        user_rows=by_key[numbered["user"].to_numpy()],
        item_rows=numbered["item"].to_numpy(),
        kinds=numbered["kind"].to_numpy(),
        at_ms=numbered["at_ms"].to_numpy(),
        quantity=numbered["quantity"].cast(pl.Float32).to_numpy(),
        price=numbered["price"].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
        order_rows=numbered["order"].to_numpy(),
        country_rows=numbered["country"].to_numpy(),
        channel_rows=numbered["channel"].to_numpy(),
    )


def _number_users(kept: pl.DataFrame, pseudonym: Pseudonym) -> tuple[NDArray[np.int32], list[str]]:
    """Give every row the number of its user, and the pseudonyms by that number.

    They are in the order of the user ids, so the rows of users do not depend on the key, and
    neither does what is learnt. Last come those whose pseudonym alone is known.
    """
    keys = kept["user_key"]
    user_ids = kept.filter(keys.is_null())["user_id"].unique().sort().to_list()
    hidden = [pseudonym(user_id) for user_id in user_ids]
    rows = _rows_of(kept["user_id"], user_ids)
    given = keys.drop_nulls().unique().to_list()
    if not given:
        return rows, hidden
    known = [*hidden, *sorted(set(given) - set(hidden))]
    return np.where(keys.is_null().to_numpy(), rows, _rows_of(keys, known)), known


def _rows_of(column: pl.Series, known: Sequence[str]) -> NDArray[np.int32]:
    """Number texts by their place in `known`; what is null or unknown is -1."""
    if not known:
        return np.full(len(column), -1, dtype=np.int32)
    rows = column.replace_strict(
        pl.Series(known), pl.Series(range(len(known)), dtype=pl.Int32), default=-1
    )
    return rows.fill_null(-1).to_numpy().astype(np.int32)
