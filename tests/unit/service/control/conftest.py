"""One worker's control plane, in either database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.stores.postgres_address import PostgresAddress, read_address
from tests.unit.service.control.samples import Worker


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | PostgresAddress:
    """Name a store that is not there yet."""
    if request.param == "sqlite":
        return tmp_path / "control.sqlite"
    return read_address(request.getfixturevalue("postgres_url"), "ENDCAP_CONTROL_URL")


@pytest.fixture
def worker(tmp_path: Path, place: Path | PostgresAddress) -> Iterator[Worker]:
    """Open one worker's control plane."""
    opened = Worker(tmp_path, place)
    yield opened
    opened.close()
