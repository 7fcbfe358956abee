"""Interactions from a shop's files: each row is kept, dropped by a rule, or rejected."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from models.errors import ConfigError
from models.events import INTERACTION_KINDS, InteractionKind
from models.past import EARLIEST_MS, EXTRA, NOT_UTF8, TOO_EARLY
from training.column_names import check_columns, list_columns
from training.columns import (
    MAX_AT_MS,
    as_epoch_ms,
    as_number,
    as_text,
    has_lost_bytes,
    is_valid_id,
    matches_any,
    without_points,
)
from training.item_ids import is_no_product, normalise_item_id
from training.mapping import InteractionColumns, InteractionMapping, Mapping
from training.marks import BLANK, EXTRA_FIELDS, FILE, MALFORMED, ROW
from training.read import columns_of
from training.shown import shown_number, shown_time, shown_word
from training.verdicts import DROPPED, Check, judge

_DEFAULT_NAMES = InteractionColumns()
_REQUIRED = ("item_id", "timestamp")
_TEXTS = ("country", "channel")
_EXPORTED = {"user_key", "anonymous_key", "session_key", "item_id", "event", "timestamp"}
"""Columns of a file that ``endcap events export`` wrote, and of no shop's own."""

_WHOLE = (
    "user_id",
    "user_key",
    "item_id",
    "kind",
    "at_ms",
    "quantity",
    "price",
    "order_id",
    "country",
    "channel",
)
"""Rows that have the same in all of these are one, said twice."""


def judge_interactions(
    frames: Sequence[pl.LazyFrame],
    mapping: Mapping,
    until_ms: int = MAX_AT_MS,
    *,
    carried: Sequence[str] = (),
) -> pl.DataFrame:
    """Read and judge every row of the files; what is later than `until_ms` is rejected.

    Returns a frame with ``user_id, user_key, item_id, kind, at_ms, quantity, price, order_id,
    country, channel`` and the columns of `training.verdicts`. Columns that are `carried` are there
    as text, null where a file lacks them.

    Raises
    ------
    ConfigError
        If the mapping names a column that a file does not have.
    """
    own = mapping.interactions
    named = [_name_columns(frame, mapping, carried) for frame in frames]
    rows = pl.concat(named, how="vertical")
    judged = judge(rows, _rules(mapping), _checks(until_ms), texts=_TEXTS).collect()
    if own.drop_duplicates:
        judged = _drop_duplicates(judged)
    return judged


def _name_columns(frame: pl.LazyFrame, mapping: Mapping, carried: Sequence[str]) -> pl.LazyFrame:
    """Bring one file to the columns and types that all files share."""
    # A mapping says how the shop's files are written: the service's log has columns of its own.
    is_export = _EXPORTED.issubset(columns_of(frame))
    own = InteractionMapping() if is_export else mapping.interactions
    names = check_columns(frame, own.columns, _DEFAULT_NAMES, _REQUIRED, "interactions")
    if "user_id" not in names and "user_key" not in names:
        raise ConfigError(
            f"the interactions have no column {own.columns.user_id!r} for user_id; "
            f"columns: {list_columns(columns_of(frame))}; name it under [interactions.columns]"
        )
    if "event" not in names and own.event is None:
        raise ConfigError(
            f"the interactions have no column {own.columns.event!r}; "
            f"columns: {list_columns(columns_of(frame))}; "
            'name it under [interactions.columns], or write event = "purchase" under [interactions]'
        )
    schema = frame.collect_schema()
    names |= {field: field for field in carried if field not in names and field in schema}

    def text(field: str) -> pl.Expr:
        name = names.get(field)
        return pl.lit(None, dtype=pl.String) if name is None else as_text(name, schema[name])

    def number(field: str) -> pl.Expr:
        name = names.get(field)
        if name is None:
            return pl.lit(None, dtype=pl.Float64)
        return as_number(name, schema[name], comma=own.decimal_comma)

    time_name = names["timestamp"]
    at_ms = as_epoch_ms(time_name, schema[time_name], own.timestamp_format, own.timezone)
    event = pl.lit(own.event) if own.event is not None else text("event").replace(own.events)
    raw = [text(field).alias(f"raw_{field}") for field in ("timestamp", "quantity", "price")]
    named = frame.select(
        FILE,
        ROW,
        MALFORMED,
        EXTRA_FIELDS,
        BLANK,
        without_points(text("user_id").str.strip_chars()).alias("user_id"),
        text("user_key").alias("user_key"),
        pl.lit("user_key" in names).alias("has_keys"),
        normalise_item_id(text("item_id"), mapping.items).alias("item_id"),
        event.alias("event"),
        at_ms.alias("at_ms"),
        number("quantity").alias("quantity"),
        number("price").alias("price"),
        text("order_id").alias("order_id"),
        text("country").alias("country"),
        text("channel").alias("channel"),
        *raw,
        *(text(field).alias(field) for field in carried),
    )
    return _tell_kinds(named, own)


def _tell_kinds(named: pl.LazyFrame, own: InteractionMapping) -> pl.LazyFrame:
    """Add the kind of each row; of a refund, also the quantity without its sign."""
    refund = (pl.col("event") == InteractionKind.REFUND.event).fill_null(False)
    if own.refund_orders is not None:
        refund = refund | matches_any(pl.col("order_id"), (own.refund_orders,))
    if own.refund_negative_quantity:
        refund = refund | (pl.col("quantity") < 0).fill_null(False)
    quantity = pl.when(pl.col("raw_quantity").is_null()).then(1.0).otherwise(pl.col("quantity"))
    kinds = {event: int(kind) for event, kind in INTERACTION_KINDS.items()}
    return named.with_columns(
        pl.when(refund)
        .then(pl.lit(int(InteractionKind.REFUND)))
        .otherwise(pl.col("event").replace_strict(kinds, default=None, return_dtype=pl.Int8))
        .cast(pl.Int8)
        .alias("kind"),
        pl.when(refund).then(quantity.abs()).otherwise(quantity).alias("quantity"),
    )


def _rules(mapping: Mapping) -> dict[str, pl.Expr]:
    own = mapping.interactions
    user = pl.col("user_id")
    is_missing = user.is_null() & pl.col("user_key").is_null() & ~pl.col(MALFORMED)
    return {
        "blank": pl.col(BLANK),
        # The service's own log also holds visitors who gave no consent or never signed in.
        "without_user_key": is_missing & pl.col("has_keys"),
        "drop_missing_users": is_missing if own.drop_missing_users else pl.lit(False),
        "drop_users": user.is_in(list(own.drop_users)).fill_null(False),
        "drop_orders": matches_any(pl.col("order_id"), own.drop_orders),
        "not_products": is_no_product(mapping.items),
    }


def _checks(until_ms: int) -> list[Check]:
    """List the reasons in the order in which they are looked for; a user's id is never shown."""
    nothing = pl.lit(None, dtype=pl.String)
    user, item = pl.coalesce("user_key", "user_id"), pl.col("item_id")
    raw_time, raw_price = pl.col("raw_timestamp"), pl.col("raw_price")
    quantity, price = pl.col("quantity"), pl.col("price")
    return [
        Check("row_malformed", pl.col(MALFORMED), nothing),
        Check(EXTRA, pl.col(EXTRA_FIELDS), nothing),
        Check("user_id_missing", user.is_null(), nothing),
        Check("user_id_invalid", ~is_valid_id(user), nothing),
        Check(f"user_id{NOT_UTF8}", has_lost_bytes(user), nothing),
        Check("item_id_missing", item.is_null(), nothing),
        Check("item_id_invalid", ~is_valid_id(item), shown_word(item)),
        Check(f"item_id{NOT_UTF8}", has_lost_bytes(item), shown_word(item)),
        Check(f"order_id{NOT_UTF8}", has_lost_bytes(pl.col("order_id")), nothing),
        Check("event_missing", pl.col("event").is_null() & pl.col("kind").is_null(), nothing),
        Check("event_unknown", pl.col("kind").is_null(), shown_word(pl.col("event"))),
        Check("timestamp_missing", raw_time.is_null(), nothing),
        Check("timestamp_invalid", pl.col("at_ms").is_null(), shown_time(raw_time)),
        Check(TOO_EARLY, pl.col("at_ms") < EARLIEST_MS, shown_time(raw_time)),
        Check("timestamp_in_future", pl.col("at_ms") > until_ms, shown_time(raw_time)),
        Check(
            "quantity_invalid",
            quantity.is_null() | (quantity <= 0),
            shown_number(pl.col("raw_quantity")),
        ),
        Check(
            "price_invalid",
            (raw_price.is_not_null() & price.is_null()) | (price < 0),
            shown_number(raw_price),
        ),
    ]


def count_duplicates(kept: pl.DataFrame) -> int:
    """Count the rows that repeat an earlier one: those that `drop_duplicates` would drop."""
    return kept.height - kept.select(_WHOLE).n_unique()


def _drop_duplicates(judged: pl.DataFrame) -> pl.DataFrame:
    """Mark rows that repeat an earlier one which is kept."""
    verdict = [DROPPED, "__reason"]
    again = ~pl.struct(*_WHOLE, *verdict).is_first_distinct()
    is_kept = pl.all_horizontal(pl.col(name).is_null() for name in verdict)
    return judged.with_columns(
        pl.when(is_kept & again).then(pl.lit("drop_duplicates")).otherwise(DROPPED).alias(DROPPED)
    )
