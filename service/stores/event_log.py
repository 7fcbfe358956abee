"""Where the event store is: a SQLite file, or a PostgreSQL database that several machines share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, overload
from urllib.parse import urlsplit, urlunsplit

EVENTS_FILE = "events.sqlite"
LOG, ROLLUP, BANNERS = "log", "rollup", "banners"
"""Schemas in PostgreSQL; in SQLite the last two are files beside the event store."""


@dataclass(frozen=True, slots=True)
class PostgresLog:
    """A database, and the folder of what this machine keeps beside it."""

    url: str
    home: Path

    def with_name(self, name: str) -> Path:
        """Name a file of this machine, as a path names one beside a SQLite file."""
        return self.home / name

    @property
    def parent(self) -> Path:
        """The folder of such files."""
        return self.home

    def __str__(self) -> str:
        """Show the address without its password."""
        parts = urlsplit(self.url)
        user = f"{parts.username}@" if parts.username else ""
        port = "" if parts.port is None else f":{parts.port}"
        place = f"{user}{parts.hostname or ''}{port}"
        return urlunsplit((parts.scheme, place, parts.path, "", ""))


EventLog = Path | PostgresLog


@overload
def event_log(home: Path) -> Path: ...


@overload
def event_log(home: Path, url: str | None) -> EventLog: ...


def event_log(home: Path, url: str | None = None) -> EventLog:
    """Say where the event store of a home is: at an address, else in a file."""
    return home / EVENTS_FILE if url is None else PostgresLog(url, home)


class Rows(Protocol):
    """What a statement returned."""

    @property
    def rowcount(self) -> int: ...  # as DB-API has it, like all below

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """A connection in autocommit mode: the part of SQLite's driver that the event store uses.

    ``BEGIN IMMEDIATE`` begins a transaction that no other one of its kind runs beside, ``BEGIN``
    one that sees a single moment.
    """

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Rows: ...

    def executemany(self, sql: str, parameters: Any, /) -> Rows: ...

    def data_version(self) -> int:
        """Return a number that changes when another connection commits; costs microseconds."""

    def stream(self, sql: str, parameters: Sequence[Any], n_rows: int) -> Iterator[list[Any]]:
        """Hand a long answer out in blocks, inside a transaction."""

    def close(self) -> None: ...
