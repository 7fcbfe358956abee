"""The mapping file: how a shop's own columns become Endcap's, and which of its rows are meant.

A TOML file with the tables ``[items]``, ``[interactions]`` and ``[catalog]``; each key is a
field of the structs below. Without a mapping the files have the columns of the README.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec

from models.errors import ConfigError
from models.events import INTERACTION_KINDS

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the mapping file: an unknown key is an error, not a silent default."""


class ItemRules(Strict, frozen=True, kw_only=True):
    """What holds for item ids wherever they occur."""

    normalise: tuple[Literal["strip", "upper", "lower"], ...] = ()
    """Done to every item id in this order, so that ``"15056bl "`` is ``"15056BL"``."""
    not_products: tuple[str, ...] = ()
    """Regular expressions; an item id that one matches whole is no product (postage, fees)."""


class InteractionColumns(Strict, frozen=True, kw_only=True):
    """The name of each column in the files; an optional one that is missing is unknown."""

    user_id: str = "user_id"
    user_key: str = "user_key"
    """A pseudonym under this home's key, as ``endcap events export`` writes it; taken as it is."""
    item_id: str = "item_id"
    event: str = "event"
    timestamp: str = "timestamp"
    quantity: str = "quantity"
    price: str = "price"
    order_id: str = "order_id"
    country: str = "country"
    channel: str = "channel"
    platform: str = "platform"
    """May be there; the trainer learns nothing from it yet."""
    session_id: str = "session_id"
    """As `platform`."""


class InteractionMapping(Strict, frozen=True, kw_only=True):
    """How the rows of the interaction files are read."""

    columns: InteractionColumns = msgspec.field(default_factory=InteractionColumns)
    event: Literal["view", "click", "add_to_cart", "purchase", "refund"] | None = None
    """The event of every row, for files without an event column."""
    events: dict[str, str] = {}
    """The shop's own names of events: ``{"order_completed" = "purchase"}``."""
    timestamp_format: str | None = None
    """strftime format of the timestamp; by default ISO 8601 or epoch ms."""
    timezone: str = "UTC"
    """IANA zone of timestamps without an offset."""
    decimal_comma: bool = False
    """Prices and quantities that are text have a comma before the decimals: ``1.299,50``."""
    drop_missing_users: bool = False
    """Drop rows without a user by rule, instead of rejecting them."""
    drop_users: tuple[str, ...] = ()
    """User ids that mean nobody, for example ``"0"``; their rows are dropped."""
    drop_orders: tuple[str, ...] = ()
    """Regular expressions; rows whose whole order id one matches are dropped."""
    drop_duplicates: bool = False
    """Drop a row that repeats an earlier one in every mapped column: exports often overlap."""
    refund_orders: str | None = None
    """Regular expression; a row whose whole order id it matches is a refund."""
    refund_negative_quantity: bool = False
    """A row with a negative quantity is a refund of so many."""


class CatalogColumns(Strict, frozen=True, kw_only=True):
    """The name of each column in the files; only the item id must be there."""

    item_id: str = "item_id"
    title: str = "title"
    category: str = "category"
    brand: str = "brand"
    price: str = "price"
    available: str = "available"
    attributes: str = "attributes"
    image_url: str = "image_url"
    url: str = "url"
    vector: str = "vector"
    created_at: str = "created_at"
    updated_at: str = "updated_at"
    """When the row was written; of an item's repeated rows the newest value of each column wins."""


class CatalogMapping(Strict, frozen=True, kw_only=True):
    """How the rows of the catalogue files are read."""

    columns: CatalogColumns = msgspec.field(default_factory=CatalogColumns)
    timestamp_format: str | None = None
    """As for interactions."""
    timezone: str = "UTC"
    """As for interactions."""
    decimal_comma: bool = False
    """As for interactions."""
    drop_unpriced: bool = False
    """Drop rows whose price is missing, zero or negative: stock notes, not offers."""
    only_listed: bool = True
    """An item that the catalogue no longer lists cannot be bought; else it counts as available."""
    blank: tuple[str, ...] = ()
    """Regular expressions; a title that one of them matches whole counts as empty."""


class Mapping(Strict, frozen=True, kw_only=True):
    """The whole mapping file."""

    items: ItemRules = msgspec.field(default_factory=ItemRules)
    interactions: InteractionMapping = msgspec.field(default_factory=InteractionMapping)
    catalog: CatalogMapping = msgspec.field(default_factory=CatalogMapping)
    max_reject_share: Share = 0.05
    """More rejected rows than this share of those not dropped by a rule stop the run."""


def load_mapping(path: Path | None) -> Mapping:
    """Read a mapping file; without one every column has its own name.

    Raises
    ------
    ConfigError
        If the file is missing, is no TOML, or holds an unknown key or a wrong value.
    """
    if path is None:
        return Mapping()
    try:
        mapping = msgspec.toml.decode(path.read_bytes(), type=Mapping)
        _check(mapping)
    except OSError as error:
        raise ConfigError(
            f"cannot read the mapping {path}: {error.strerror}; check --mapping"
        ) from error
    except (ValueError, KeyError, re.error) as error:
        raise ConfigError(
            f"the mapping {path} is wrong: {error}; see docs/guides/training.md for its keys"
        ) from error
    return mapping


def _check(mapping: Mapping) -> None:
    rules = mapping.interactions
    patterns = (*mapping.items.not_products, *rules.drop_orders, *mapping.catalog.blank)
    import polars as pl  # noqa: PLC0415  # fast --help

    for pattern in (*patterns, rules.refund_orders or ""):
        re.compile(pattern)
        try:
            pl.Series([""]).str.contains(pattern)
        except pl.exceptions.ComputeError as error:
            raise ValueError(
                f"the regular expression {pattern!r} is not one that the reader knows; "
                "write it without looking around and without references back"
            ) from error
    for zone in (rules.timezone, mapping.catalog.timezone):
        ZoneInfo(zone)
    for own, event in rules.events.items():
        if event not in INTERACTION_KINDS:
            known = ", ".join(INTERACTION_KINDS)
            raise ValueError(f"event {own!r} is mapped to {event!r}; known: {known}")
