"""Fixtures every test may use: the shared data sets, outside tools, hypothesis profiles.

What is missing on this machine is a skip with one line that says how to get it. With ``ENDCAP_CI``
set it is a failure instead, so a build cannot pass by testing less.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

IS_CI = bool(os.environ.get("ENDCAP_CI"))
REPOSITORY = Path(__file__).resolve().parents[1]

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if IS_CI else "dev")


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
def require_tool() -> Callable[[str, str], Path]:
    """Return ``require_tool(name, install_hint)``: the path of an executable this test needs."""

    def require(name: str, install_hint: str) -> Path:
        found = shutil.which(name)
        if found is None:
            _missing(f"{name} is not installed; {install_hint}")
        return Path(found)

    return require
