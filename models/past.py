"""What a file of the past comes to, row by row: read by the trainer, stored by the service.

Service and trainer do not import each other, so ``endcap.py`` hands one's reader to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class PastInteraction(NamedTuple):
    """A row that is right; times are epoch ms, `kind` is a code of `InteractionKind`."""

    file: str
    row: int
    """1 is the first row of its file."""
    kind: int
    at_ms: int
    item_id: str
    user_id: str | None
    user_key: str | None
    """A pseudonym under the home's key, where the file has these instead of user ids."""
    quantity: float | None
    price: float | None
    order_id: str | None
    country: str | None
    channel: str | None
    platform: str | None
    session_id: str | None
    anonymous_key: str | None
    session_key: str | None
    event_id: str | None


class RefusedRow(NamedTuple):
    """A row that is wrong, without the user's id."""

    file: str
    row: int
    reason: str
    value: str | None


class PastRows(NamedTuple):
    """All rows of a file, read and judged."""

    n_read: int
    dropped: dict[str, int]
    """Rows that a rule of the mapping leaves out, by rule; they are not among `rows`."""
    rows: Iterator[PastInteraction | RefusedRow]


ReadPast = Callable[[str, Path | None, int], PastRows]
"""Reads a path or glob under a mapping file; what is later than the third, epoch ms, is refused."""
