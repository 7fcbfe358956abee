"""The pseudonyms of a person as one value of a statement, which takes so many values and no more.

A user who signs in where no cookie lasts may have been tens of thousands of visitors. With all of
them in one statement a table without an index of them is read once, and not once for some of them.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from service.stores.event_log import Database

LISTED = "(SELECT value ->> 0 FROM json_each(:keys))"
"""What a column with one of them is in; `listed` gives its value."""


def listed(keys: Collection[str]) -> dict[str, str]:
    """Give the value of `LISTED`: lists of one, for PostgreSQL would read a bare text as JSON."""
    return {"keys": msgspec.json.encode([[key] for key in keys]).decode()}


def numbers_of(connection: Database, keys: Collection[str]) -> str:
    """List the numbers that the running sums have for pseudonyms, as a statement wants them."""
    found = connection.execute(f"SELECT id FROM keys WHERE key IN {LISTED}", listed(keys))
    return ", ".join(str(number) for (number,) in found) or "NULL"
