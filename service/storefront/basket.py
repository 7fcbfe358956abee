"""The basket and the newest order, which the visitor's browser keeps in a cookie each.

A cookie is JSON in base64: ids may hold anything. What cannot be read is an empty basket.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_LINES = 20
MAX_QUANTITY = 9

Lines = dict[str, int]
"""Quantities by item id, in the order in which they were put in."""

_ItemId = Annotated[str, Meta(min_length=1, max_length=256)]
_Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]


class _Kept(msgspec.Struct, frozen=True):
    lines: Annotated[dict[_ItemId, _Quantity], Meta(max_length=MAX_LINES)] = {}  # msgspec copies it
    order_id: str = ""


_DECODER = msgspec.json.Decoder(_Kept)


def read_basket(cookie: str | None) -> Lines:
    """Read a basket; a foreign hand may have written it, so everything in it is checked."""
    return _read(cookie).lines


def write_basket(lines: Mapping[str, int]) -> str:
    """Write a basket; an empty one is an empty cookie."""
    return _write(_Kept(dict(lines))) if lines else ""


def put_in(lines: Lines, item_id: str) -> Lines:
    """Add one piece of an item, if it fits."""
    if item_id not in lines and len(lines) >= MAX_LINES:
        return lines
    return {**lines, item_id: min(lines.get(item_id, 0) + 1, MAX_QUANTITY)}


def take_out(lines: Lines, item_id: str) -> Lines:
    """Take an item out, all pieces of it."""
    return {one: n for one, n in lines.items() if one != item_id}


def read_order(cookie: str | None) -> tuple[str, Lines]:
    """Read the newest order: its id, empty without one, and its lines."""
    kept = _read(cookie)
    return kept.order_id, kept.lines


def write_order(order_id: str, lines: Mapping[str, int]) -> str:
    """Write an order."""
    return _write(_Kept(dict(lines), order_id))


def _read(cookie: str | None) -> _Kept:
    try:
        return _DECODER.decode(urlsafe_b64decode(cookie or ""))
    except (ValueError, msgspec.DecodeError):  # no base64, no JSON, no basket
        return _Kept()


def _write(kept: _Kept) -> str:
    return urlsafe_b64encode(msgspec.json.encode(kept)).decode()
