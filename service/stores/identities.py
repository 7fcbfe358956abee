"""Who is dealt as which unit: the first write wins, and no row ever changes.

A user who was first seen as an anonymous visitor is dealt as that visitor for good. Where a person
or a device turns out to have been dealt as two units, the two are linked, and nobody is moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple

import msgspec

from models.errors import StoreError
from service.stores.event_database import connect, reported
from service.stores.event_log import EventLog, PostgresLog
from service.stores.key_filter import KeyFilter

BUSY_TIMEOUT_MS = 250
"""A visitor waits for less; who waited in vain is asked about again."""
MAX_OTHERS = 8
"""Linked units that are read; a shared device may have thousands."""


class UnitRow(NamedTuple):
    """A unit: its kind, ``user_id`` or ``anonymous_id``, and its pseudonym."""

    kind: str
    key: str


class PersonRow(NamedTuple):
    """Whom a visitor is dealt as, and the units that are the same person or device."""

    unit: UnitRow
    others: list[UnitRow]


class News(NamedTuple):
    """What was written since some moment."""

    user_keys: set[str]
    linked_keys: set[str]
    last: tuple[int, int]
    """The newest rows that are known now, of identities and of links."""


_SEEN_ANONYMOUS = (
    "SELECT EXISTS (SELECT 1 FROM exposures WHERE unit_key = ? AND unit_key IS NOT NULL "
    "AND reason = 'SPLIT' AND user_key IS NULL)"
)
_SEEN_USER = (
    "SELECT EXISTS (SELECT 1 FROM exposures WHERE unit_key = ? AND unit_key IS NOT NULL "
    "AND reason = 'SPLIT')"
)
_FIND = "SELECT unit_kind, unit_key FROM identities WHERE user_key = ?"
_TAKEN = "SELECT EXISTS (SELECT 1 FROM identities WHERE unit_key = ?)"
_IDENTIFY = (
    "INSERT INTO identities (user_key, unit_kind, unit_key, at_ms) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (user_key) DO NOTHING"
)
_IS_LINKED = "SELECT EXISTS (SELECT 1 FROM unit_links WHERE unit_key = ? AND other_key = ?)"
_LINK = (
    "INSERT INTO unit_links (unit_key, other_kind, other_key, at_ms) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (unit_key, other_key) DO NOTHING"
)
_OTHERS = (
    f"SELECT other_kind, other_key FROM unit_links WHERE unit_key = ? ORDER BY seq DESC "
    f"LIMIT {MAX_OTHERS}"
)

# Numbers of the pairs of which anything is written down, or has to be. One JSON text back, so the
# interpreter lock changes hands once.
_NOTED = """
SELECT json_group_array(pair.key) FROM json_each(?) AS pair
WHERE EXISTS (SELECT 1 FROM identities WHERE user_key = pair.value ->> 0)
OR EXISTS (SELECT 1 FROM unit_links WHERE unit_key = pair.value ->> 0)
OR EXISTS (
    SELECT 1 FROM exposures WHERE unit_key = pair.value ->> 1 AND unit_key IS NOT NULL
    AND reason = 'SPLIT' AND user_key IS NULL
)
"""

_POSTGRES_NOTED = """
SELECT coalesce(json_agg(place - 1), '[]')::text
FROM json_array_elements(?) WITH ORDINALITY AS pair(value, place)
WHERE EXISTS (SELECT 1 FROM identities WHERE user_key = pair.value ->> 0)
OR EXISTS (SELECT 1 FROM unit_links WHERE unit_key = pair.value ->> 0)
OR EXISTS (
    SELECT 1 FROM exposures WHERE unit_key = pair.value ->> 1 AND unit_key IS NOT NULL
    AND reason = 'SPLIT' AND user_key IS NULL
)
"""

# The same of one pair.
_IS_NOTED = """
SELECT EXISTS (SELECT 1 FROM identities WHERE user_key = :unit)
OR EXISTS (SELECT 1 FROM unit_links WHERE unit_key = :unit)
OR EXISTS (
    SELECT 1 FROM exposures WHERE unit_key = :device AND unit_key IS NOT NULL
    AND reason = 'SPLIT' AND user_key IS NULL
)
"""


class IdentityStore:
    """One connection; threads wait for each other."""

    def __init__(self, path: EventLog) -> None:
        self._path = path
        self._lock = Lock()
        self._connection = connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS, is_light=True)
        is_server = isinstance(path, PostgresLog)
        self.is_near = not is_server
        """Whether a short read costs microseconds, so that the event loop may ask."""
        self._noted = _POSTGRES_NOTED if is_server else _NOTED
        self._filter = None if isinstance(path, PostgresLog) else KeyFilter(path)

    def settle(self, user_key: str | None, anonymous_key: str | None, at_ms: int) -> PersonRow:
        """Say whom a visitor is dealt as, and write it down if the two ids meet for the first time.

        At least one key is given. A write is on disk when this returns.

        Raises
        ------
        StoreError
            If the store cannot be read, or cannot be written in time.
        """
        with self._lock, reported(self._path):
            if user_key is None:
                assert anonymous_key is not None
                return self._person(UnitRow("anonymous_id", anonymous_key))
            if anonymous_key is not None and self._is_open(user_key, anonymous_key):
                self._write(user_key, anonymous_key, at_ms)
            return self._person(self._unit_of(user_key) or UnitRow("user_id", user_key))

    def is_noted(self, user_key: str | None, anonymous_key: str | None) -> bool:
        """Say whether `settle` might find, or have to write down, anything; else all is new.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        with self._lock, reported(self._path):
            asked = {"unit": anonymous_key, "device": None}
            if user_key is not None:
                asked = {"unit": user_key, "device": anonymous_key}
            return bool(self._connection.execute(_IS_NOTED, asked).fetchone()[0])

    def settle_all(
        self, pairs: Sequence[tuple[str | None, str | None]], at_ms: int
    ) -> list[PersonRow | Exception]:
        """Settle many pairs; what went wrong with one stands in its place.

        Nearly always nothing is known of a pair and nothing is to be written, which one statement
        finds out for all of them.
        """
        with self._lock, reported(self._path):
            asked = msgspec.json.encode(pairs).decode()
            noted = set(
                msgspec.json.decode(self._connection.execute(self._noted, (asked,)).fetchone()[0])
            )
        # What is written for one pair may be about the user of another.
        noted_users = {None, *(pairs[number][0] for number in noted)}
        rows: list[PersonRow | Exception] = []
        for user_key, anonymous_key in pairs:
            if user_key is not None and user_key not in noted_users:
                rows.append(PersonRow(UnitRow("user_id", user_key), []))
                continue
            try:
                rows.append(self.settle(user_key, anonymous_key, at_ms))
            except StoreError as error:
                rows.append(error)
        return rows

    def news_since(self, last: tuple[int, int]) -> News:
        """Read which users and linked units have rows newer than `last`."""
        with self._lock, reported(self._path):
            run = self._connection.execute
            users = run(
                "SELECT seq, user_key FROM identities WHERE seq > ? ORDER BY seq", last[:1]
            ).fetchall()
            links = run(
                "SELECT seq, unit_key FROM unit_links WHERE seq > ? ORDER BY seq", last[1:]
            ).fetchall()
        return News(
            {key for _, key in users},
            {key for _, key in links},
            (users[-1][0] if users else last[0], links[-1][0] if links else last[1]),
        )

    def last_rows(self) -> tuple[int, int]:
        """Number the newest rows of identities and of links."""
        with self._lock, reported(self._path):
            run = self._connection.execute
            return (
                int(run("SELECT coalesce(max(seq), 0) FROM identities").fetchone()[0]),
                int(run("SELECT coalesce(max(seq), 0) FROM unit_links").fetchone()[0]),
            )

    def data_version(self) -> int:
        """Return a number that changes when another connection commits; costs microseconds."""
        # Not under the lock: the event loop asks, and must not wait for a read.
        with reported(self._path):
            return self._connection.data_version()

    def close(self) -> None:
        """Close the file, once a read under way has ended."""
        with self._lock:
            self._connection.close()
            if self._filter is not None:
                self._filter.close()

    def _is_open(self, user_key: str, anonymous_key: str) -> bool:
        """Say whether the two ids still have to be brought together."""
        unit = self._unit_of(user_key)
        if unit is not None and (
            unit.key == anonymous_key or self._holds(_IS_LINKED, unit.key, anonymous_key)
        ):
            return False
        return self._holds(_SEEN_ANONYMOUS, anonymous_key)

    def _write(self, user_key: str, anonymous_key: str, at_ms: int) -> None:
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            unit = self._unit_of(user_key)
            if unit is None:
                is_free = not self._holds(_TAKEN, anonymous_key)
                if is_free and not self._holds(_SEEN_USER, user_key):
                    unit = UnitRow("anonymous_id", anonymous_key)
                else:
                    unit = UnitRow("user_id", user_key)
                run(_IDENTIFY, (user_key, *unit, at_ms))
            if unit.key != anonymous_key:
                run(_LINK, (unit.key, "anonymous_id", anonymous_key, at_ms))
                run(_LINK, (anonymous_key, *unit, at_ms))
            if self._filter is not None:
                self._filter.note("identity", (user_key, unit.key, anonymous_key))
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise

    def _person(self, unit: UnitRow) -> PersonRow:
        others = self._connection.execute(_OTHERS, (unit.key,))
        return PersonRow(unit, [UnitRow(*row) for row in others])

    def _unit_of(self, user_key: str) -> UnitRow | None:
        row = self._connection.execute(_FIND, (user_key,)).fetchone()
        return None if row is None else UnitRow(*row)

    def _holds(self, question: str, *values: str) -> bool:
        return bool(self._connection.execute(question, values).fetchone()[0])
