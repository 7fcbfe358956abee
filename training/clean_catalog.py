"""The catalogue from a shop's files: one row per item, the newest value of each column."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from models.past import EARLIEST_MS, EXTRA, NOT_UTF8
from training.attributes import list_words, split_attributes
from training.column_names import check_columns
from training.columns import (
    as_epoch_ms,
    as_price,
    as_text,
    has_lost_bytes,
    is_valid_id,
    matches_any,
)
from training.item_ids import is_no_product, normalise_item_id
from training.mapping import CatalogColumns, Mapping
from training.marks import BLANK, EXTRA_FIELDS, FILE, MALFORMED, ROW
from training.verdicts import Check, judge

_DEFAULT_NAMES = CatalogColumns()
_TEXTS = ("title", "category", "brand", "image_url", "url")
_MOMENTS = ("created_at", "updated_at")
_RAW = ("price", "available", *_MOMENTS)
_YES = ("true", "yes", "y", "t", "in stock", "in_stock", "instock", "preorder", "backorder")
_NO = (
    "false",
    "no",
    "n",
    "f",
    "out of stock",
    "out_of_stock",
    "outofstock",
    "sold out",
    "sold_out",
)


def judge_catalog(frames: Sequence[pl.LazyFrame], mapping: Mapping) -> pl.DataFrame:
    """Read and judge every row of the files, in file order.

    Raises
    ------
    ConfigError
        If a file has no item ids, or the mapping names a column that it does not have.
    """
    named = [_name_columns(frame, mapping) for frame in frames]
    rows = pl.concat(named, how="vertical")
    return judge(rows, _rules(mapping), _checks(), texts=_TEXTS).collect()


def merge_items(rows: pl.DataFrame) -> pl.DataFrame:
    """Make one row per item of the kept rows: newest value of each column, earliest creation.

    Rows without ``updated_at`` count as older than those with one; else the later row is newer.
    """
    newest = [
        pl.col(name).drop_nulls().last().alias(name)
        for name in (*_TEXTS, "price", "available", "attributes", "vector")
    ]
    return (
        rows.sort("updated_at_ms", nulls_last=False, maintain_order=True)
        .group_by("item_id", maintain_order=True)
        .agg(*newest, pl.col("created_at_ms").min())
        .sort("item_id")
    )


def _name_columns(frame: pl.LazyFrame, mapping: Mapping) -> pl.LazyFrame:
    own = mapping.catalog
    names = check_columns(frame, own.columns, _DEFAULT_NAMES, ("item_id",), "catalog")
    schema = frame.collect_schema()

    def text(field: str) -> pl.Expr:
        name = names.get(field)
        return pl.lit(None, dtype=pl.String) if name is None else as_text(name, schema[name])

    def moment(field: str) -> pl.Expr:
        name = names.get(field)
        if name is None:
            return pl.lit(None, dtype=pl.Int64)
        return as_epoch_ms(name, schema[name], own.timestamp_format, own.timezone)

    priced = names.get("price")
    price, currency = (
        (pl.lit(None, dtype=pl.Float64), pl.lit(None, dtype=pl.String))
        if priced is None
        else as_price(priced, schema[priced], comma=own.decimal_comma)
    )
    title = text("title").str.strip_chars()
    return frame.select(
        FILE,
        ROW,
        MALFORMED,
        EXTRA_FIELDS,
        BLANK,
        normalise_item_id(text("item_id"), mapping.items).alias("item_id"),
        pl.when(~matches_any(title, own.blank)).then(title).alias("title"),
        *(text(field).str.strip_chars().alias(field) for field in _TEXTS if field != "title"),
        price.alias("price"),
        currency.alias("currency"),
        _flag(text("available")).alias("available"),
        _words(names.get("attributes"), schema).alias("attributes"),
        _vector(names.get("vector"), schema).alias("vector"),
        *(moment(field).alias(f"{field}_ms") for field in _MOMENTS),
        *(text(field).alias(f"raw_{field}") for field in _RAW),
        _raw_words(names.get("attributes"), schema).alias("raw_attributes"),
    )


def _flag(text: pl.Expr) -> pl.Expr:
    """Read a yes or a no, also as feeds of shops say it, or how many there are; else null."""
    word = text.str.strip_chars().str.to_lowercase()
    number = word.cast(pl.Float64, strict=False)
    return (
        pl.when(number.is_finite())
        .then(number > 0)
        .when(word.is_in(_YES))
        .then(True)
        .when(word.is_in(_NO))
        .then(False)
    )


def _words(name: str | None, schema: pl.Schema) -> pl.Expr:
    """Read attributes as a list of text: from a list, a struct (``colour=red``), JSON, ``a|b``."""
    if name is None:
        return pl.lit(None, dtype=pl.List(pl.String))
    dtype, column = schema[name], pl.col(name)
    if isinstance(dtype, pl.List) and not dtype.inner.is_nested():
        return column.cast(pl.List(pl.String)).list.drop_nulls()
    is_flat = isinstance(dtype, pl.Struct) and not any(f.dtype.is_nested() for f in dtype.fields)
    if dtype.is_nested() and not is_flat:
        return column.map_elements(list_words, return_dtype=pl.List(pl.String))
    if isinstance(dtype, pl.Struct):
        pairs = [
            pl.concat_str(pl.lit(f"{field.name}="), column.struct.field(field.name).cast(pl.String))
            for field in dtype.fields
        ]
        return pl.concat_list(pairs).list.drop_nulls()
    return as_text(name, dtype).map_elements(split_attributes, return_dtype=pl.List(pl.String))


def _raw_words(name: str | None, schema: pl.Schema) -> pl.Expr:
    """Return the attributes that are text, which may not be what they begin like."""
    if name is None or not isinstance(schema[name], pl.String):
        return pl.lit(None, dtype=pl.String)
    return as_text(name, schema[name])


def _vector(name: str | None, schema: pl.Schema) -> pl.Expr:
    if name is None:
        return pl.lit(None, dtype=pl.List(pl.Float32))
    dtype, column = schema[name], pl.col(name)
    if isinstance(dtype, pl.List | pl.Array):
        return column.cast(pl.List(pl.Float32))
    numbers = as_text(name, dtype).str.strip_chars("[] ").str.split(",")
    return numbers.list.eval(pl.element().str.strip_chars().cast(pl.Float32, strict=False))


def _rules(mapping: Mapping) -> dict[str, pl.Expr]:
    rules = {"blank": pl.col(BLANK), "not_products": is_no_product(mapping.items)}
    if mapping.catalog.drop_unpriced:
        price = pl.col("price")
        rules["drop_unpriced"] = (price.is_null() | (price <= 0)) & ~pl.col(MALFORMED)
    return rules


def _checks() -> list[Check]:
    item, price = pl.col("item_id"), pl.col("price")
    nothing = pl.lit(None, dtype=pl.String)
    checks = [
        Check("row_malformed", pl.col(MALFORMED), nothing),
        Check(EXTRA, pl.col(EXTRA_FIELDS), nothing),
        Check("item_id_missing", item.is_null(), nothing),
        Check("item_id_invalid", ~is_valid_id(item), item),
        Check(f"item_id{NOT_UTF8}", has_lost_bytes(item), item),
        Check(
            "price_invalid",
            (pl.col("raw_price").is_not_null() & price.is_null()) | (price < 0),
            pl.col("raw_price"),
        ),
        Check(
            "price_currency",
            # Prices are compared with each other, so all have to be in one.
            pl.col("currency") != pl.col("currency").drop_nulls().mode(maintain_order=True).first(),
            pl.col("raw_price"),
        ),
        Check(
            "available_unknown",
            pl.col("raw_available").is_not_null() & pl.col("available").is_null(),
            pl.col("raw_available"),
        ),
        Check(
            "attributes_invalid",
            pl.col("raw_attributes").is_not_null() & pl.col("attributes").is_null(),
            pl.col("raw_attributes"),
        ),
    ]
    for field in _MOMENTS:
        raw = pl.col(f"raw_{field}")
        at_ms = pl.col(f"{field}_ms")
        checks.append(Check(f"{field}_invalid", raw.is_not_null() & at_ms.is_null(), raw))
        # A date may be older than shops are, a number is then not one of milliseconds.
        is_number = raw.str.contains(r"^\s*\d+\s*$")
        checks.append(Check(f"{field}_before_1980", is_number & (at_ms < EARLIEST_MS), raw))
    vector = pl.col("vector")
    has_hole = vector.list.eval(pl.element().is_finite().fill_null(False).not_()).list.any()
    return [*checks, Check("vector_invalid", has_hole, nothing)]
