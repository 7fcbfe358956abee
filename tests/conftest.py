"""Fixtures every test may use: the shared data sets, outside tools, hypothesis profiles.

What is missing on this machine is a skip with one line that says how to get it. With ``ENDCAP_CI``
set it is a failure instead, so a build cannot pass by testing less.
"""

import gc
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from tests.postgres_server import PostgresServer, find_programs, run_postgres
from training.simulation.config import WorldConfig
from training.simulation.files import WorldFiles
from training.simulation.world import World, make_world

IS_CI = bool(os.environ.get("ENDCAP_CI"))
REPOSITORY = Path(__file__).resolve().parents[1]

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if IS_CI else "dev")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where modules are shared out among processes, begin with slow tests, then with many.

    Otherwise the last process would run such a module while the others have nothing left to do.
    """
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        n_tests = Counter(item.path for item in items)
        items.sort(key=lambda item: (item.path not in slow, -n_tests[item.path], item.path))


def pytest_collection_finish() -> None:
    """Hide what is loaded by now from the garbage collector, which looked at it again and again."""
    gc.collect()
    gc.freeze()


def _missing(message: str) -> NoReturn:
    if IS_CI:
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of shared data sets: ``ENDCAP_SHARED_DATA``, else ``../shared/data``."""
    configured = os.environ.get("ENDCAP_SHARED_DATA")
    folder = Path(configured) if configured else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        _missing(f"no data sets in {folder}; set ENDCAP_SHARED_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def ofrep_document() -> Path:
    """Return the published OpenAPI document of OFREP, `../shared/conformance/ofrep`."""
    document = REPOSITORY.parent / "shared" / "conformance" / "ofrep" / "openapi.yaml"
    if not document.is_file():
        _missing(f"no {document}; take openapi.yaml 0.3.0 of open-feature/protocol")
    return document


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str, str], Path]:
    """Return ``require_tool(name, install_hint)``: the path of an executable this test needs."""

    def require(name: str, install_hint: str) -> Path:
        found = shutil.which(name)
        if found is None:
            _missing(f"{name} is not installed; {install_hint}")
        return Path(found)

    return require


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Return a PostgreSQL server of this run's own."""
    programs = find_programs()
    if programs is None:
        _missing("PostgreSQL is not installed; apt-get install postgresql")
    with run_postgres(programs) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """Return the address of an empty PostgreSQL database."""
    return postgres_server.make_database()


@pytest.fixture(scope="session")
def small_world() -> World:
    """Return a simulated shop of 60 items and 200 shoppers whose truth is known."""
    return make_world(
        WorldConfig(
            now_ms=1_767_225_600_000,
            n_items=60,
            n_shoppers=200,
            n_interactions=6_000,
            cold_share=0.05,
        )
    )


@pytest.fixture(scope="session")
def small_world_files(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> WorldFiles:
    """Return the small world's log and catalogue as Parquet files."""
    files = WorldFiles(tmp_path_factory.mktemp("small_world"))
    files.write(small_world.config)
    return files
