"""Which of the columns that a mapping names a file has."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import polars as pl

from models.errors import ConfigError
from models.past import FIX_ENCODING, LOSSY
from training.csv_files import printable
from training.read import columns_of


def list_columns(present: Sequence[str]) -> str:
    """Write the columns of a file for a message, with what a header in another encoding means."""
    names = ", ".join(map(printable, present)) or "none"
    return f"{names} ({FIX_ENCODING})" if LOSSY in names else names


def check_columns(
    frame: pl.LazyFrame,
    columns: msgspec.Struct,
    defaults: msgspec.Struct,
    required: Sequence[str],
    kind: str,
) -> dict[str, str]:
    """Return field → column for the columns a file has.

    Raises
    ------
    ConfigError
        If a required column, or one that the mapping names, is not there.
    """
    present = columns_of(frame)
    names: dict[str, str] = {}
    for field in columns.__struct_fields__:
        name = getattr(columns, field)
        if name in present:
            names[field] = name
        elif field in required or name != getattr(defaults, field):
            raise ConfigError(
                f"in the {kind} there is no column {name!r} for {field}; "
                f"columns: {list_columns(present)}; "
                f"name it under [{kind}.columns] in the file of --mapping"
            )
    return names
