"""What a file of the past comes to, row by row: read by the trainer, stored by the service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

EARLIEST_MS = 315_532_800_000
"""The year 1980: no shop has a log from before. A number that is earlier is no epoch ms, but
seconds, or a date such as 20260801."""
TOO_EARLY = "timestamp_before_1980"
LOSSY = "\ufffd"
"""What reading puts where bytes are not UTF-8: two ids that have it may look the same."""
NOT_UTF8 = "_not_utf8"
"""Ends the reason of a row of which an id has that mark."""
EXTRA = "row_has_extra_fields"
FIX_ENCODING = (
    "the file is not in UTF-8; convert it and read that, for example with: "
    "iconv -f cp1252 -t utf-8 FILE > NEW"
)
_NEXT_STEPS = {
    TOO_EARLY: "epoch times are milliseconds: multiply seconds by 1000, and write a date as "
    "2026-08-01 (or name its format, timestamp_format in the file of --mapping)",
    "event_unknown": "events are view, click, add_to_cart, purchase and refund; map the shop's own "
    "names under [interactions.events] in the file of --mapping",
    "timestamp_invalid": "times are ISO 8601 or epoch milliseconds (divide microseconds by 1000); "
    "name another form with timestamp_format in the file of --mapping",
    "timestamp_in_future": "later than this machine's clock allows; look at the clock (date -u), "
    "and at timezone in the file of --mapping",
    "price_invalid": "a price is a number that is not below 0, such as 1234.50: a point before the "
    "cents, nothing between thousands, and no currency but in the catalogue; where prices are like "
    "1.234,50, set decimal_comma = true in the file of --mapping",
    "quantity_invalid": "a quantity is a number above 0; where negative ones are refunds, set "
    "refund_negative_quantity = true in the file of --mapping",
    "available_unknown": "whether an item can be bought is true or false, yes or no, in_stock or "
    "out_of_stock, or how many there are",
    "attributes_invalid": "attributes that begin with [ or { are JSON, with its double quotes",
    EXTRA: "a row has more fields than the header has columns: put a text with a comma in quotes",
}


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


def next_steps(reasons: Iterable[str]) -> list[str]:
    """Say what to do about rows that were refused, where the reason does not say it."""
    found: dict[str, list[str]] = {}
    for reason in sorted(reasons):
        step = FIX_ENCODING if reason.endswith(NOT_UTF8) else _NEXT_STEPS.get(reason)
        if step is not None:
            found.setdefault(step, []).append(reason)
    return [f"{', '.join(names)}: {step}" for step, names in found.items()]
