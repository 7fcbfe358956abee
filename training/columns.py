"""Polars expressions that turn whatever a column holds into ids, numbers and epoch ms.

A value that cannot be turned becomes null; the caller tells it from one that was missing.
"""

from __future__ import annotations

import polars as pl

from models.ids import MAX_ID_BYTES
from models.past import LOSSY

_BEHIND = r"(?:\s[A-Z]{3}|\p{Sc})$"
_BEFORE = r"^(?:[A-Z]{3}\s|\p{Sc})"
"""A currency: its code of ISO 4217 and a blank, or its sign."""
_WITH_COMMA = r"^[+-]?(?:\d+|\d{1,3}(?:[.'\u{2019}\s]\d{3})+)(?:,\d+)?$"
MAX_AT_MS = 7_258_118_400_000
"""The year 2200; a timestamp beyond it is a mistake of units."""


def as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Write a column as text; a whole float loses its ``.0``, blanks around and empty text go."""
    column = pl.col(name)
    if dtype.is_float():
        whole = column.round() == column
        column = (
            pl.when(whole)
            .then(column.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(column.fill_nan(None).cast(pl.String))
        )
    elif isinstance(dtype, pl.Categorical | pl.Enum) or not isinstance(dtype, pl.String):
        column = column.cast(pl.String)
    return pl.when(column.str.strip_chars() != "").then(column)


def without_points(column: pl.Expr) -> pl.Expr:
    """Take the ``.0`` off every text of a column, if all that are there are whole floats.

    A data frame with a gap in a column of numbers writes ``17841.0`` into a CSV; the same column in
    a Parquet file is read so by `as_text`.
    """
    are_floats = column.str.contains(r"^\d+\.0$").all()
    return pl.when(are_floats).then(column.str.strip_suffix(".0")).otherwise(column)


def as_number(name: str, dtype: pl.DataType, *, comma: bool = False) -> pl.Expr:
    """Read a column as float64; NaN and text that is no number are null.

    With `comma` numbers that are text are as in ``1.299,50``.
    """
    column = pl.col(name)
    return _number_of(column.str.strip_chars(), comma) if _is_text(dtype) else _finite(column)


def as_price(name: str, dtype: pl.DataType, *, comma: bool = False) -> tuple[pl.Expr, pl.Expr]:
    """Read a column as float64, and the currency beside each number, as in ``10.95 EUR``.

    Feeds for Google's Merchant Center write prices so, people ``€10.95``. Where none stands, it is
    null.
    """
    if not _is_text(dtype):
        return as_number(name, dtype), pl.lit(None, dtype=pl.String)
    text = pl.col(name).str.strip_chars()
    currency = pl.coalesce(text.str.extract(_BEHIND, 0), text.str.extract(_BEFORE, 0))
    bare = (
        pl.when(text.str.contains(_BEHIND))
        .then(text.str.replace(_BEHIND, ""))
        .otherwise(text.str.replace(_BEFORE, ""))
    )
    return _number_of(bare.str.strip_chars(), comma), currency.str.strip_chars()


def as_epoch_ms(name: str, dtype: pl.DataType, text_format: str | None, zone: str) -> pl.Expr:
    """Read a column as epoch ms: a datetime, a number, or text in `text_format` or ISO 8601."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        moment = column if dtype.time_zone else _localise(column, zone)
        at_ms = moment.dt.epoch("ms")
    elif isinstance(dtype, pl.Date):
        at_ms = _localise(column.cast(pl.Datetime("ms")), zone).dt.epoch("ms")
    elif isinstance(dtype, pl.String):
        at_ms = _parse(column.str.strip_chars(), text_format, zone)
    else:
        at_ms = column.cast(pl.Int64, strict=False)
    return pl.when((at_ms >= 0) & (at_ms < MAX_AT_MS)).then(at_ms)


def is_valid_id(column: pl.Expr) -> pl.Expr:
    """Tell whether text obeys the rule of `models.ids`."""
    return (column.str.len_bytes() <= MAX_ID_BYTES) & ~column.str.contains("\0", literal=True)


def has_lost_bytes(column: pl.Expr) -> pl.Expr:
    """Tell whether text has the mark of bytes that were not UTF-8; null has none."""
    return column.str.contains(LOSSY, literal=True).fill_null(False)


def matches_any(column: pl.Expr, patterns: tuple[str, ...]) -> pl.Expr:
    """Tell whether one of the regular expressions matches the whole text; null matches none."""
    if not patterns:
        return pl.lit(False)
    whole = "|".join(f"(?:{pattern})" for pattern in patterns)
    return column.str.contains(f"^(?:{whole})$").fill_null(False)


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String)


def _number_of(text: pl.Expr, comma: bool) -> pl.Expr:
    if comma:
        # 12.95 among numbers with commas may be 12.95 or 1295: no guess is made.
        plain = text.str.replace_all(r"[.'\u{2019}\s]", "").str.replace(",", ".", literal=True)
        text = pl.when(text.str.contains(_WITH_COMMA)).then(plain)
    return _finite(text)


def _finite(column: pl.Expr) -> pl.Expr:
    number = column.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def _parse(text: pl.Expr, text_format: str | None, zone: str) -> pl.Expr:
    if text_format is not None:
        if "%z" in text_format:
            return text.str.to_datetime(
                text_format, time_zone="UTC", time_unit="ms", strict=False
            ).dt.epoch("ms")
        return _localise(
            text.str.to_datetime(text_format, time_unit="ms", strict=False), zone
        ).dt.epoch("ms")
    iso = (
        text.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00:00")
        .str.replace(r"^(\d{4}-\d{2}-\d{2}) +", "${1}T")
        # BigQuery writes the name of the zone, PostgreSQL an offset of hours alone.
        .str.replace(r" UTC$", "Z")
        .str.replace(r"(T\d{2}:\d{2})($|Z|[+-])", "${1}:00${2}")
        .str.replace(r"(T\S+[+-]\d{2})$", "${1}:00")
        .str.replace("Z$", "+00:00")
    )
    with_offset = iso.str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f%z", time_zone="UTC", time_unit="ms", strict=False
    )
    local = iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="ms", strict=False)
    # With a gap in the column a data frame writes whole floats.
    whole = text.str.strip_suffix(".0")
    digits = pl.when(whole.str.contains(r"^\d{1,15}$")).then(whole).cast(pl.Int64, strict=False)
    return pl.coalesce(with_offset.dt.epoch("ms"), _localise(local, zone).dt.epoch("ms"), digits)


def _localise(naive: pl.Expr, zone: str) -> pl.Expr:
    """Read a wall clock in `zone`; of an hour that comes twice the first, a skipped one is null."""
    return naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
