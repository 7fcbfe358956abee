"""Where the control plane lies: a SQLite file of one machine, or PostgreSQL for several."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from service.stores.control_reader import ControlReader
from service.stores.control_sqlite import SqliteControl
from service.stores.postgres_address import PostgresAddress


class ControlDatabase(Protocol):
    """What differs between the two."""

    @property
    def engine(self) -> sa.Engine:
        """Connections whose transactions take turns, whoever begins them."""

    def reported(self) -> AbstractContextManager[None]:
        """Turn a driver's error into a `StoreError` that says where the store is."""

    def open_reader(self) -> ControlReader:
        """Open what a worker follows changes with."""

    def drop_old_rows(self) -> None:
        """Drop what the database keeps of rows that were replaced."""


def open_control_database(place: Path | PostgresAddress) -> ControlDatabase:
    """Open a store, made if missing, and upgrade it; other processes may do the same.

    Raises
    ------
    StoreError
        If it cannot be opened, or comes from a newer version of Endcap.
    """
    if isinstance(place, Path):
        return SqliteControl(place)
    from service.stores.control_postgres import PostgresControl  # noqa: PLC0415  # an extra

    return PostgresControl(place)
