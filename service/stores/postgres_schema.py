"""Makes the tables of the event store in a PostgreSQL database, and what SQLite has and it has not.

The first process makes the newest schema at once; later versions come by the same migrations as
SQLite's. Processes that start together wait for each other.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from models.errors import ConfigError, StoreError
from service.stores.event_log import LOG, PostgresLog
from service.stores.event_schema import metadata
from service.stores.postgres import open_raw, refusal_of, reported_by_server
from service.stores.postgres_listener import CHANNEL
from service.stores.sqlite import MIGRATIONS

MIN_VERSION = 130_000
"""Of PostgreSQL, which tells since 13 what became of a transaction whose end nobody heard."""
_UPGRADE_LOCK = 0x656E6464

_FOLLOWED = ("events", "exposures", "identities", "unit_links", "erasures")

# A scalar `min` of two, as SQLite has it, is empty if one of them is.
_FUNCTIONS = (
    *(
        f"""
CREATE OR REPLACE FUNCTION {LOG}.{name}(a {kind}, b {kind}) RETURNS {kind}
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN a {sign} b THEN a ELSE b END $$
"""
        for name, sign in (("min", "<="), ("max", ">="))
        for kind in ("bigint", "double precision")
    ),
    f"""
CREATE OR REPLACE FUNCTION {LOG}.iif(is_so boolean, a text, b text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN is_so THEN a ELSE b END $$
""",
    f"""
CREATE OR REPLACE FUNCTION {LOG}.round(a double precision, digits integer) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT pg_catalog.round(a::numeric, digits)::double precision $$
""",
    f"""
CREATE OR REPLACE FUNCTION {LOG}.json_each(list text) RETURNS TABLE (value jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
AS $$ SELECT pg_catalog.jsonb_array_elements(list::jsonb) $$
""",
    f"""
CREATE OR REPLACE FUNCTION {LOG}.count_one(n bigint, is_so boolean) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN is_so IS NULL THEN n ELSE coalesce(n, 0) + is_so::integer END $$
""",
    f"CREATE OR REPLACE AGGREGATE {LOG}.sum(boolean) (sfunc = {LOG}.count_one, stype = bigint)",
    f"""
CREATE OR REPLACE AGGREGATE {LOG}.total(double precision)
(sfunc = float8pl, stype = float8, initcond = '0')
""",
    f"""
CREATE OR REPLACE FUNCTION {LOG}.tell() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_notify('{CHANNEL}', ''); RETURN NULL; END $$
""",
)


def make_schema(log: PostgresLog) -> None:
    """Make the tables, or bring them to the newest version.

    Raises
    ------
    StoreError
        If the server is too old, the database of another encoding than UTF-8, or the tables come
        from a newer version of Endcap.
    """
    engine = create_engine(
        make_url(log.url).set(drivername="postgresql+psycopg"),
        connect_args={"client_encoding": "utf8"},
        # Whatever the database's default: what another process has made is seen behind the lock.
        isolation_level="READ COMMITTED",
    )
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
            _check_version(connection, log)
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {LOG}"))
            connection.execute(text(f"SET LOCAL search_path TO {LOG}"))
            _upgrade(connection, log)
    except DBAPIError as error:
        raise refusal_of(error.orig or error, log) from error
    finally:
        engine.dispose()


def agree_on_pseudonyms(log: PostgresLog, mark: str, *, is_new: bool = False) -> None:
    """Check that all machines have one pseudonym key, by a mark that tells nothing of it.

    With `is_new` the key was changed, and the mark is from now on this one.

    Raises
    ------
    ConfigError
        If another machine came with another key.
    StoreError
        If the database cannot be read or written.
    """
    with reported_by_server(log), open_raw(log) as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_UPGRADE_LOCK,))
        known = _read_mark(connection)
        if known is None or is_new:
            connection.execute(f"COMMENT ON SCHEMA {LOG} IS '{mark}'".encode())
        elif known != mark:
            raise ConfigError(
                f"the events in {log} were stored under another pseudonym key than the one of "
                f"{log.home}, and everybody would be a stranger; copy pseudonym.key from the home "
                "of a machine that uses this database, or set ENDCAP_PSEUDONYM_KEY to its value"
            )


def has_mark(log: PostgresLog) -> bool:
    """Tell whether a machine has come with its pseudonym key.

    Raises
    ------
    StoreError
        If the database cannot be read.
    """
    with reported_by_server(log), open_raw(log) as connection:
        return _read_mark(connection) is not None


def _read_mark(connection: psycopg.Connection[Any]) -> str | None:
    row = connection.execute(
        f"SELECT obj_description('{LOG}'::regnamespace::oid, 'pg_namespace')"
    ).fetchone()
    return None if row is None else row[0]


def derived_tables(schema: str, version: int, tables: str) -> list[str]:
    """Return the statements that make tables of sums, written for SQLite, in a schema anew."""
    tables = re.sub(r"\bINTEGER PRIMARY KEY\b", "\0", tables)
    tables = re.sub(r"\bINTEGER\b", "BIGINT", tables)
    tables = re.sub(r"\bREAL\b", "DOUBLE PRECISION", tables)
    tables = tables.replace("\0", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY")
    tables = re.sub(r"\s*\bWITHOUT ROWID\b", "", tables)
    return [
        f"DROP SCHEMA IF EXISTS {schema} CASCADE",
        f"CREATE SCHEMA {schema}",
        *tables.split(";\n"),
        f"COMMENT ON SCHEMA {schema} IS '{version}'",
    ]


def _check_version(connection: Connection, log: PostgresLog) -> None:
    shown = connection.execute(text("SHOW server_version_num")).scalar_one()
    if int(shown) < MIN_VERSION:
        raise StoreError(
            f"the database server of {log} is version {int(shown) // 10_000} of PostgreSQL; "
            f"{MIN_VERSION // 10_000} or newer is needed"
        )


def _check_encoding(connection: Connection, log: PostgresLog) -> None:
    """Refuse a database that could not store what shoppers and catalogues write."""
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise StoreError(
            f"the database of {log} has the encoding {encoding}, which cannot hold every text; "
            "make one with createdb --encoding UTF8 --template template0"
        )


def _upgrade(connection: Connection, log: PostgresLog) -> None:
    config = Config()
    # Alembic interpolates % in its options, and a path may hold one.
    config.set_main_option("script_location", _escaped(MIGRATIONS))
    config.set_main_option("version_locations", _escaped(MIGRATIONS / "events"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    is_new = MigrationContext.configure(connection).get_current_revision() is None
    if is_new:
        _check_encoding(connection, log)
        metadata.create_all(connection)
        for statement in _FUNCTIONS:
            connection.exec_driver_sql(statement)
        for table in _FOLLOWED:
            connection.exec_driver_sql(
                f"CREATE TRIGGER tell AFTER INSERT ON {table} EXECUTE FUNCTION {LOG}.tell()"
            )
    try:
        (command.stamp if is_new else command.upgrade)(config, "head")
    except CommandError as error:
        raise StoreError(
            f"the store {log} is not of this version of Endcap: {error}; start the version that "
            "wrote it, or bring back a backup"
        ) from error


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")
