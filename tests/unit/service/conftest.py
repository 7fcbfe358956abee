"""Both databases of the event store, for tests that hold for either."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.stores.event_database import open_event_database
from service.stores.event_log import EventLog, PostgresLog


@pytest.fixture(params=["sqlite", "postgres"])
def event_url(request: pytest.FixtureRequest) -> str | None:
    """Return where the events of a test go: to a file of the home, or to an address."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def event_log(event_url: str | None, tmp_path: Path) -> Iterator[EventLog]:
    """Return an empty event store, once of each kind."""
    log = open_event_database(tmp_path, event_url)
    yield log
    if isinstance(log, PostgresLog):
        from service.stores.postgres_listener import stop_listening

        stop_listening(log)
