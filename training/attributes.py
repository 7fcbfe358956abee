"""Attributes of an item that a file holds as text: JSON, or words between bars."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import polars as pl

_PAIRS = ({"name", "value"}, {"key", "value"})
"""Keys of objects that are one attribute each, as warehouses write a map."""


def split_attributes(text: str) -> list[str] | None:
    """Read ``["red", "big"]``, ``{"colour": "red"}`` (as ``colour=red``) or ``red | big``.

    Nothing where it begins as JSON does and is none.
    """
    if not text.lstrip().startswith(("[", "{")):
        return [word.strip() for word in text.split("|")]
    try:
        return list(_words(msgspec.json.decode(text)))
    except (msgspec.DecodeError, RecursionError):
        return None


def list_words(value: object) -> list[str]:
    """Read a struct with lists in it, a list of structs or a map of a Parquet file."""
    return list(_words(value.to_list() if isinstance(value, pl.Series) else value))


def _words(value: object, name: str = "") -> Iterator[str]:
    """Write every value that is no list and no object, behind the name that is nearest to it."""
    if isinstance(value, dict) and value.keys() in _PAIRS:
        yield from _words(value["value"], str(value.get("name", value.get("key"))))
    elif isinstance(value, dict):
        for inner, part in value.items():
            yield from _words(part, str(inner))
    elif isinstance(value, list):
        for part in value:
            yield from _words(part, name)
    elif value is not None:
        word = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if word.strip():
            yield f"{name}={word.strip()}" if name else word.strip()
