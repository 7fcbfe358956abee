"""One app for all tests of a module that only read or refuse; a fresh one for those that change."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.service.routes.samples import Shop, open_client


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Open a fresh app."""
    with open_client(tmp_path) as client:
        yield Shop(client)


@pytest.fixture(scope="module")
def strict_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Open an app that the module's tests only send refused requests to."""
    with open_client(tmp_path_factory.mktemp("home")) as client:
        opened = Shop(client)
        opened.call("PUT", "/v1/placements/home_recs", json={"kind": "items"})
        yield opened
