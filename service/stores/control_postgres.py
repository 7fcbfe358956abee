"""The control plane in PostgreSQL, for several machines: they take turns and tell each other.

A transaction begins with a lock that all machines share, so what it reads holds until it commits,
as with SQLite. A trigger on the trail notifies every worker at the commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from models.errors import StoreError
from service.stores.control_reader import Changes, read_changes
from service.stores.postgres import outlive_silence
from service.stores.postgres_address import PostgresAddress
from service.stores.postgres_patience import PatientConnection
from service.stores.postgres_presence import Presence
from service.stores.postgres_silence import watch_over
from service.stores.sqlite import upgrade

Result = TypeVar("Result")

CHANNEL = "endcap_control"
"""What the trigger of the migration `control_0007` notifies."""
POLL_S = 0.5
"""How often a worker looks though nobody told it to; a notification may be lost."""
_TURN = int.from_bytes(b"endcap_c", "big")
_CONNECT_S = 3
_SESSION = (
    "SET lock_timeout = '5s'; SET statement_timeout = '30s'; "
    # A machine that hangs within a transaction must not hold up the others.
    "SET idle_in_transaction_session_timeout = '15s'"
)
_DEFAULTS: dict[str, Any] = {
    "application_name": "endcap control",
    "connect_timeout": _CONNECT_S,
    "client_encoding": "utf8",
    # A machine that is gone without a word is noticed in seconds, not in hours.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def connect(
    address: PostgresAddress,
    kind: type[psycopg.Connection[Any]] = psycopg.Connection,
    *,
    autocommit: bool = False,
) -> psycopg.Connection[Any]:
    """Open a connection that gives up in time; what the address itself says has precedence."""
    given = conninfo_to_dict(address.url)
    connection = kind.connect(
        address.url, **{name: value for name, value in _DEFAULTS.items() if name not in given}
    )
    watch_over(connection)
    connection.autocommit = True
    connection.execute(_SESSION)
    outlive_silence(connection)
    connection.autocommit = autocommit
    return connection


@contextmanager
def reported(address: PostgresAddress) -> Iterator[None]:
    """Turn a driver's error into a `StoreError` that says where the database is."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        raise StoreError(
            f"the control plane in {address.name} cannot be read or written: {lines[0]}; pages go "
            "on as last configured; see that PostgreSQL runs and takes connections, then try again"
        ) from error


class PostgresControl:
    """The database, opened and at the newest schema."""

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._presence = Presence()
        self.engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_size=2,
            max_overflow=6,
            pool_timeout=5,
        )
        event.listen(self.engine, "begin", _take_turn)
        with self.reported(), self.engine.connect() as connection:
            upgrade(connection, "control")

    def reported(self) -> AbstractContextManager[None]:
        """Turn a driver's error into a `StoreError` that says where the database is."""
        return reported(self._address)

    def open_reader(self) -> PostgresControlReader:
        """Open what a worker listens and polls with."""
        return PostgresControlReader(self._address)

    def _connect(self) -> psycopg.Connection[Any]:
        with self._presence.asking():
            raw = connect(self._address, PatientConnection)
        assert isinstance(raw, PatientConnection)
        raw.is_there = partial(self._presence.answers, self._address.url)
        return raw

    def drop_old_rows(self) -> None:
        """Write the trail anew without the rows that were replaced."""
        with self.reported(), connect(self._address, autocommit=True) as connection:
            for table in ("audit", "rollout_epochs", "documents"):
                connection.execute(f"VACUUM (FULL) {table}".encode())


def _take_turn(connection: sa.Connection) -> None:
    """Wait for the other machines' transactions, so that what this one reads holds."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")


class PostgresControlReader:
    """Two connections, one to read and one to listen; each is opened again when it was lost."""

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._lock = Lock()
        self._is_closed = False
        self._connection: psycopg.Connection[Any] | None = None
        self._listening: psycopg.Connection[Any] | None = None
        self._read_up_to: tuple[int, str | None] = (0, None)
        """The newest row that was read, and the hash it had."""
        self.data_version()

    def listen(self) -> None:
        """Wait for a change, `POLL_S` at most; also return when one may have been missed."""
        try:
            if self._listening is None:
                self._listening = connect(self._address, autocommit=True)
                self._listening.execute(f"LISTEN {CHANNEL}".encode())
                return
            for _ in self._listening.notifies(timeout=POLL_S, stop_after=1):
                pass
        except psycopg.Error:
            # Whoever reads next says what is wrong, at once if the connection has just been lost.
            was_heard = self._listening is not None
            self._stop_listening()
            if not was_heard:
                time.sleep(POLL_S)

    def data_version(self) -> str:
        """Return the newest revision ever given and its hash."""

        def read(connection: psycopg.Connection[Any]) -> str:
            row = connection.execute("SELECT revision, hash FROM audit_head").fetchone()
            return "" if row is None else f"{row[0]}-{row[1]}"

        return self._read(read)

    def follows(self, revision: int) -> bool:
        """Say whether the row of a revision is still the one that was read."""
        known_revision, known_hash = self._read_up_to
        if known_revision == 0 or known_revision != revision:
            return True
        return self._read(lambda connection: _hash_of(connection, revision)) == known_hash

    def changes_since(self, revision: int) -> Changes:
        """Read everything that has changed after a revision, in one state of the store."""

        def read(connection: psycopg.Connection[Any]) -> Changes:
            def run(sql: str, values: tuple[int, ...]) -> list[Any]:
                return connection.execute(sql.replace("?", "%s").encode(), values).fetchall()

            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                changes = read_changes(run, revision)
                self._read_up_to = changes.newest, _hash_of(connection, changes.newest)
                return changes

        return self._read(read)

    def close(self) -> None:
        """Close both connections; reads that come later are refused."""
        with self._lock:
            self._is_closed = True
            if self._connection is not None:
                self._connection.close()
        self._stop_listening()

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def _read(self, work: Callable[[psycopg.Connection[Any]], Result]) -> Result:
        """Read in one thread at a time; on a connection that was lost meanwhile, once more."""
        with self._lock, reported(self._address):
            if self._is_closed:
                raise StoreError(f"the reader of {self._address.name} is closed; open another one")
            if self._connection is not None:
                try:
                    return work(self._connection)
                except psycopg.OperationalError:
                    self._connection.close()
            self._connection = connect(self._address, autocommit=True)
            return work(self._connection)


def _hash_of(connection: psycopg.Connection[Any], revision: int) -> str | None:
    found = connection.execute("SELECT hash FROM audit WHERE revision = %s", (revision,)).fetchone()
    return None if found is None else str(found[0])
