"""From files to a `Dataset`: read, judge, write the rejects, number ids, net refunds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from models.dataset import Dataset
from models.errors import InputError
from models.events import InteractionKind
from models.past import next_steps
from models.vocabulary import Vocabulary
from training.clean_catalog import judge_catalog, merge_items
from training.clean_interactions import count_duplicates, judge_interactions
from training.columns import MAX_AT_MS
from training.csv_files import open_quote, printable
from training.mapping import Mapping
from training.numbering import Pseudonym, number_rows
from training.ordered_catalog import are_listed, order_catalog
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
    if not mapping.interactions.drop_duplicates:
        rows["interactions"] = msgspec.structs.replace(
            rows["interactions"], duplicates=count_duplicates(kept["interactions"])
        )
    items = merge_items(kept["catalog"]) if catalog else None
    return _put_together(
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


def _put_together(
    kept: pl.DataFrame,
    items: pl.DataFrame | None,
    pseudonym: Pseudonym,
    rows: dict[str, RowCounts],
    *,
    only_listed: bool,
) -> Loaded:
    numbered = number_rows(kept, items, pseudonym)
    names, raw = numbered.item_ids, numbered.interactions
    is_listed = are_listed(items, names)
    interactions = take_back(raw)
    n_refunds = rows["interactions"].kept - int((raw.kinds != InteractionKind.REFUND).sum())
    is_offered = is_listed if only_listed else np.ones_like(is_listed)
    dataset = Dataset(
        user_ids=Vocabulary.from_ids(numbered.user_keys),
        item_ids=Vocabulary.from_ids(names),
        countries=Vocabulary.from_ids(numbered.countries),
        channels=Vocabulary.from_ids(numbered.channels),
        interactions=interactions,
        catalog=order_catalog(items, names, is_offered),
    )
    return Loaded(
        dataset,
        rows,
        n_taken_back=len(raw) - n_refunds - len(interactions),
        unlisted=Unlisted.find(names, raw.item_rows, is_listed),
    )
