"""Reads a file of interactions as training does, but row by row, for the service to store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from models.past import PastInteraction, PastRows, RefusedRow
from training.load import collect_rows
from training.mapping import load_mapping
from training.marks import FILE, ROW
from training.verdicts import DROPPED, REASON, VALUE, count_rows

_CARRIED = ("platform", "session_id", "anonymous_key", "session_key", "event_id")
_SLICE_ROWS = 50_000


def read_past(source: str, mapping: Path | None, until_ms: int) -> PastRows:
    """Read and judge every row of a path or glob; what is later than `until_ms` is refused.

    Raises
    ------
    InputError
        If a file cannot be read.
    ConfigError
        If the mapping is wrong or does not fit the files.
    """
    judged = collect_rows(
        [source], "interactions", load_mapping(mapping), until_ms, carried=_CARRIED
    )
    counts = count_rows(judged)
    return PastRows(counts.read, counts.dropped, _rows(judged))


def _rows(judged: pl.DataFrame) -> Iterator[PastInteraction | RefusedRow]:
    number = (pl.col(ROW).cast(pl.Int64) + 1).alias("row")
    fields = [name for name in PastInteraction._fields if name not in ("file", "row")]
    meant = judged.filter(pl.col(DROPPED).is_null()).select(
        pl.col(FILE).alias("file"), number, *fields, REASON, VALUE
    )
    for part in meant.iter_slices(_SLICE_ROWS):
        for *values, reason, value in part.iter_rows():
            if reason is None:
                yield PastInteraction._make(values)
            else:
                yield RefusedRow(values[0], values[1], reason, value)
