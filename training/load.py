"""From files to a `Dataset`: read, judge, write the rejects, number ids, net refunds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.dataset import Catalog, Dataset, Interactions
from models.errors import ConfigError, InputError
from models.events import InteractionKind
from models.past import next_steps
from models.vocabulary import Vocabulary
from training.clean_catalog import judge_catalog, merge_items
from training.clean_interactions import judge_interactions
from training.columns import MAX_AT_MS
from training.csv_files import open_quote, printable
from training.mapping import Mapping
from training.read import expand, scan_files
from training.refunds import take_back
from training.unlisted import Unlisted
from training.verdicts import (
    RowCounts,
    check_reject_share,
    count_rows,
    kept_rows,
    rejected_rows,
    write_rejects,
)

Pseudonym = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A dataset and where its rows came from."""

    dataset: Dataset
    rows: dict[str, RowCounts]
    """``interactions`` and, if there was one, ``catalog``."""
    n_taken_back: int
    """Purchase rows that refunds took back as a whole."""
    unlisted: Unlisted | None = None
    """Nothing where the catalogue lists every item, or there is none."""


def load_dataset(
    interactions: Sequence[str],
    catalog: Sequence[str],
    mapping: Mapping,
    *,
    pseudonym: Pseudonym,
    rejects: Path | None,
    until_ms: int = MAX_AT_MS,
) -> Loaded:
    """Read a shop's files.

    `pseudonym` hides each user id; rows that are bad go to the file `rejects`, if one is named.
    Interactions later than `until_ms` are bad.

    Raises
    ------
    InputError
        If nothing usable is left, or too many rows are bad.
    ConfigError
        If the mapping does not fit the files.
    """
    judged = {"interactions": collect_rows(interactions, "interactions", mapping, until_ms)}
    if catalog:
        judged["catalog"] = collect_rows(catalog, "catalog", mapping, until_ms)
    rows = {kind: count_rows(frame) for kind, frame in judged.items()}
    if rejects is not None:
        bad = [row for kind, frame in judged.items() for row in rejected_rows(frame, kind)]
        write_rejects(rejects, bad)
    for kind, counts in rows.items():
        _check(kind, counts, mapping, rejects)
    kept = {kind: kept_rows(frame) for kind, frame in judged.items()}
    del judged
    items = merge_items(kept["catalog"]) if catalog else None
    return _number(
        kept["interactions"], items, pseudonym, rows, only_listed=mapping.catalog.only_listed
    )


def collect_rows(
    sources: Sequence[str],
    kind: str,
    mapping: Mapping,
    until_ms: int,
    *,
    carried: Sequence[str] = (),
) -> pl.DataFrame:
    """Read and judge the ``interactions`` or the ``catalog``; nothing is left out yet.

    Raises
    ------
    InputError
        If a file cannot be read.
    ConfigError
        If the mapping does not fit the files.
    """
    own: msgspec.Struct = getattr(mapping, kind).columns
    wanted = [*(getattr(own, field) for field in own.__struct_fields__), *carried]
    frames = [frame for source in sources for frame in scan_files(source, wanted)]
    try:
        if kind == "interactions":
            return judge_interactions(frames, mapping, until_ms, carried=carried)
        return judge_catalog(frames, mapping)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(sources, str(error).splitlines()[0]) from error


def _unreadable(sources: Sequence[str], what: str) -> InputError:
    """Say which file, and which of its rows, cannot be read, where the reader does not."""
    files, advice = ", ".join(sources), "check the file"
    if what.startswith("could not parse"):
        advice = 'where a text begins with " it must end with one, and one inside is doubled'
        what = "a text in quotes does not end"
        for path in (path for source in sources for path in expand(source) if ".csv" in path):
            row = open_quote(path)
            if row is not None:
                files, what = repr(path), f"a text in quotes does not end in row {row}"
                break
    return InputError(f"cannot read {files}: {printable(what)}; {advice}")


def _check(kind: str, counts: RowCounts, mapping: Mapping, rejects: Path | None) -> None:
    where = f"see {rejects}" if rejects is not None else "correct the file or the mapping"
    if not counts.read:
        raise InputError(f"the {kind} have no rows; check the files")
    check_reject_share(kind, counts, mapping.max_reject_share, where)
    if not counts.kept:
        raise InputError(
            f"no row of the {kind} is left of {counts.read}: dropped {counts.dropped}, "
            f"rejected {counts.rejected}; "
            + "; ".join([*next_steps(counts.rejected), "correct the file or the mapping"])
        )


def _number(
    kept: pl.DataFrame,
    items: pl.DataFrame | None,
    pseudonym: Pseudonym,
    rows: dict[str, RowCounts],
    *,
    only_listed: bool,
) -> Loaded:
    user_rows, user_keys = _number_users(kept, pseudonym)
    item_ids = kept["item_id"].unique()
    if items is not None:
        item_ids = pl.concat([item_ids, items["item_id"]]).unique()
    names = item_ids.sort().to_list()
    is_listed = _are_listed(items, names)
    orders, countries, channels = (
        kept[name].drop_nulls().unique().sort().to_list()
        for name in ("order_id", "country", "channel")
    )
    # By the text of the key, as by the other texts, whose numbers are in their order.
    by_key = np.array(sorted(range(len(user_keys)), key=user_keys.__getitem__), dtype=np.int32)
    places = np.empty_like(by_key)
    places[by_key] = np.arange(len(by_key), dtype=np.int32)
    numbered = pl.DataFrame(
        {
            "at_ms": kept["at_ms"],
            "user": places[user_rows],
            "item": _rows_of(kept["item_id"], names),
            "kind": kept["kind"],
            "order": _rows_of(kept["order_id"], orders),
            "quantity": kept["quantity"],
            "price": kept["price"],
            "country": _rows_of(kept["country"], countries),
            "channel": _rows_of(kept["channel"], channels),
        }
    )
    # Sorted by every column, so that the order of the files' rows changes nothing.
    numbered = numbered.sort(numbered.columns)
    raw = Interactions(
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
    interactions = take_back(raw)
    n_refunds = rows["interactions"].kept - int((raw.kinds != InteractionKind.REFUND).sum())
    dataset = Dataset(
        user_ids=Vocabulary.from_ids(user_keys),
        item_ids=Vocabulary.from_ids(names),
        countries=Vocabulary.from_ids(countries),
        channels=Vocabulary.from_ids(channels),
        interactions=interactions,
        catalog=_catalog(items, names, is_listed if only_listed else np.ones_like(is_listed)),
    )
    return Loaded(
        dataset,
        rows,
        n_taken_back=len(raw) - n_refunds - len(interactions),
        unlisted=Unlisted.find(names, raw.item_rows, is_listed),
    )


def _are_listed(items: pl.DataFrame | None, names: Sequence[str]) -> NDArray[np.bool_]:
    """Say of each item whether the catalogue lists it; of all, where there is no catalogue."""
    if items is None:
        return np.ones(len(names), dtype=np.bool_)
    return pl.Series(names).is_in(items["item_id"].implode()).to_numpy()


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


def _catalog(
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
