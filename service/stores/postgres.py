"""PostgreSQL behind the few calls that the event store makes of SQLite's driver.

Statements are written once, in what both databases understand; `translate` knows the marks of
parameters, and `postgres_schema` makes the functions that only SQLite brings along. A schema stands
for what is a file of its own in SQLite: ``log`` for the event store, one more for each of the sums.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from threading import RLock
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Buffer, Loader

from models.errors import CapacityError, StoreError
from service.stores.event_log import BANNERS, LOG, ROLLUP, PostgresLog
from service.stores.postgres_listener import listener_of
from service.stores.postgres_patience import LookingConnection, SilentDatabaseError
from service.stores.postgres_presence import presence_of
from service.stores.postgres_silence import watch_over

# Any two numbers that no other application of the server's is likely to use.
_LOCK_FAMILY = 0x656E6463
_LOCKS = {LOG: 1, ROLLUP: 2, BANNERS: 3}
_CONNECT_TIMEOUT_S = 3
_SILENCE_MS = 10_000
"""A connection that heard nothing for so long while it waited is given up."""
_IDLE_MS = 30_000
"""A process that stands still in a transaction keeps the others waiting for so long at most."""
_HAS_IDLE_LIMIT = 140_000
"""The version of PostgreSQL that knows a limit for sessions outside of transactions."""

_REPEATABLE = re.compile(r"\s*(SELECT|WITH|BEGIN)\b", re.IGNORECASE)
_TEXTS = re.compile(r"('(?:[^']|'')*')")
_NAMED = re.compile(r"(?<![:\w]):([a-z_]\w*)")


class PostgresConnection:
    """A connection that is made again when it was lost; threads wait for each other.

    One that `looks` is given up when the database hangs, see `LookingConnection`.
    """

    def __init__(
        self, log: PostgresLog, schema: str = LOG, *, busy_timeout_ms: int, looks: bool = False
    ) -> None:
        self._log = log
        self._looks = looks
        self._schema = schema
        self._busy_timeout_ms = busy_timeout_ms
        self._lock = RLock()
        self._raw = self._open()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun that has not ended, with the connection or otherwise."""
        return self._raw.info.transaction_status not in (
            pq.TransactionStatus.IDLE,
            pq.TransactionStatus.UNKNOWN,
        )

    def execute(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /
    ) -> psycopg.Cursor[Any]:
        """Run a statement; one that only reads, or begins, is run again if the server had gone."""
        with self._lock:
            is_first = not self.in_transaction
            if is_first and self._raw.closed:
                self._raw = self._open()
            try:
                return self._run(sql, parameters)
            except psycopg.OperationalError as error:
                is_silent = isinstance(error, SilentDatabaseError)
                if is_silent or not (is_first and self._raw.closed and _REPEATABLE.match(sql)):
                    raise
                self._raw = self._open()
                return self._run(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> psycopg.Cursor[Any]:
        """Run a statement for each of many values, which are sent without waiting for answers."""
        with self._lock:
            cursor = self._raw.cursor()
            cursor.executemany(translate(sql), list(parameters))
            return cursor

    def stream(self, sql: str, parameters: Sequence[Any], n_rows: int) -> Iterator[list[Any]]:
        """Hand a long answer out in blocks, inside a transaction."""
        with self._raw.cursor(name="stream") as cursor:
            cursor.execute(translate(sql), parameters)
            while rows := cursor.fetchmany(n_rows):
                yield rows

    def data_version(self) -> int:
        """Return a number that changes when anybody commits; it is not asked of the server."""
        return listener_of(self._log).version

    def drop(self) -> None:
        """Let go of a connection that is of no use any more; the next statement makes a new one."""
        self._raw.close()

    def close(self) -> None:
        """Close it, once a statement under way has ended."""
        with self._lock:
            self._raw.close()

    def _run(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> psycopg.Cursor[Any]:
        cursor = psycopg.ClientCursor(self._raw)
        if sql == "BEGIN IMMEDIATE":
            key = _LOCKS[self._schema]
            try:
                # A database may have another default, under which what is read behind the lock
                # would be of the moment before it.
                cursor.execute(
                    "BEGIN ISOLATION LEVEL READ COMMITTED; "
                    f"SELECT pg_advisory_xact_lock({_LOCK_FAMILY}, {key})"
                )
            except psycopg.Error:
                self._raw.rollback()
                raise
        elif sql == "BEGIN":
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        else:
            cursor.execute(translate(sql), parameters)
        return cursor

    def _open(self) -> psycopg.Connection[Any]:
        raw = _open_looking(self._log) if self._looks else open_raw(self._log)
        # Adding up and reports take as long as the log is long; a limit that the server's owner has
        # set for other users of it would end each of them, again and again.
        raw.execute(
            f"SET search_path TO {self._schema}, {LOG}; "
            f"SET lock_timeout = {self._busy_timeout_ms}; SET statement_timeout = 0; "
            f"SET idle_in_transaction_session_timeout = {_IDLE_MS}"
        )
        return raw


class _NumberLoader(Loader):
    """Sums of whole numbers come as decimals; whoever reads them wants what SQLite gives."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text or b"N" in text else int(text)


def open_raw(
    log: PostgresLog, kind: type[psycopg.Connection[Any]] = psycopg.Connection
) -> psycopg.Connection[Any]:
    """Open a connection of the driver's own, in autocommit mode."""
    raw = kind.connect(
        log.url,
        autocommit=True,
        connect_timeout=_CONNECT_TIMEOUT_S,
        tcp_user_timeout=_SILENCE_MS,
        keepalives_idle=_SILENCE_MS // 1000,
        application_name="endcap",
        client_encoding="utf8",
    )
    watch_over(raw)
    raw.adapters.register_loader("numeric", _NumberLoader)
    outlive_silence(raw)
    return raw


def _open_looking(log: PostgresLog) -> psycopg.Connection[Any]:
    presence = presence_of(log.url)
    with presence.asking():
        raw = open_raw(log, LookingConnection)
    assert isinstance(raw, LookingConnection)
    raw.is_there = partial(presence.answers, log.url)
    return raw


def outlive_silence(raw: psycopg.Connection[Any]) -> None:
    """Let a session be idle for as long as it is: who listens never says a word.

    A limit that the server's owner has set for other users of it would end it, again and again.
    """
    if raw.info.server_version >= _HAS_IDLE_LIMIT:
        raw.execute("SET idle_session_timeout = 0")


def hold_writers(raw: psycopg.Connection[Any]) -> None:
    """Let nobody else write the log until a connection is closed."""
    raw.execute("SELECT pg_advisory_lock(%s, %s)", (_LOCK_FAMILY, _LOCKS[LOG]))


@lru_cache(maxsize=512)
def translate(sql: str) -> bytes:
    """Write a statement with the driver's marks of parameters, and joins without SQLite's order."""
    parts = _TEXTS.split(sql.replace("%", "%%"))
    for place in range(0, len(parts), 2):
        part = parts[place].replace("?", "%s").replace("CROSS JOIN", "JOIN")
        parts[place] = _NAMED.sub(r"%(\1)s", part)
    return "".join(parts).encode()


def refusal_of(error: BaseException, log: PostgresLog) -> StoreError | CapacityError:
    """Say in words of the service what the server or the driver said."""
    if isinstance(error, psycopg.errors.DiskFull):
        return CapacityError(
            "the disk of the database server is full; free some space, then send the events again"
        )
    return StoreError(
        f"the store {log} cannot be read or written: {str(error).strip()}; check that the database "
        "server runs, that this machine reaches it and that its user may write"
    )


@contextmanager
def reported_by_server(log: PostgresLog) -> Iterator[None]:
    """Turn a driver's error into a `StoreError` that names the database."""
    try:
        yield
    except psycopg.Error as error:
        raise refusal_of(error, log) from error
