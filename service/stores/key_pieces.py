"""The pseudonyms of a person in pieces: a statement of SQLite takes so many values and no more.

A user who signs in where no cookie lasts may have been tens of thousands of visitors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.stores.event_log import Database

MAX_KEYS = 1_000
"""Three columns of them are far fewer values than the 32,766 that any SQLite takes."""


def in_pieces(keys: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """Give pieces of pseudonyms, each with as many marks for a statement."""
    for begin in range(0, len(keys), MAX_KEYS):
        piece = keys[begin : begin + MAX_KEYS]
        yield piece, ", ".join("?" * len(piece))


def numbers_of(connection: Database, keys: Sequence[str]) -> str:
    """List the numbers that the running sums have for pseudonyms, as a statement wants them."""
    found = [
        str(number)
        for piece, marks in in_pieces(keys)
        for (number,) in connection.execute(
            f"SELECT id FROM keys WHERE key IN ({marks})", (*piece,)
        )
    ]
    return ", ".join(found) or "NULL"
