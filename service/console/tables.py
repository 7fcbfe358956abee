"""A table under a name: behind a picture, and as a file to download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """Columns by title, and rows of cells."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def rounded(number: float | None) -> float | None:
    """Leave out digits that say nothing."""
    return None if number is None else round(number, 4)
