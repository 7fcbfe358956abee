"""The migrated file has the schema that the code declares, whoever opens it first."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from models.errors import StoreError
from service.stores.event_database import connect, open_event_database
from service.stores.event_schema import metadata


def test_migrations_lead_to_the_declared_schema(tmp_path: Path) -> None:
    """Alembic finds nothing to change between a new file and the tables of the code."""
    engine = create_engine(f"sqlite:///{open_event_database(tmp_path)}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_opening_from_many_threads_at_once_works(tmp_path: Path) -> None:
    """Workers that start together race to create the file; each gets a usable one."""
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(open_event_database, [tmp_path] * 4))
    connection = connect(paths[0])
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "events.sqlite").write_text("this is no database, " * 100)
    with pytest.raises(StoreError, match=r"events\.sqlite cannot be read or written"):
        open_event_database(tmp_path)


def test_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A schema that this code does not know is told as such, not as a crash."""
    connection = connect(open_event_database(tmp_path))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match=r"events\.sqlite is not of this version"):
        open_event_database(tmp_path)
