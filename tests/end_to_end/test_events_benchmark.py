"""The benchmark of events runs, small, and adds up; nothing here asserts a time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from service.stores.event_database import open_event_database
from tests.benchmarks.events.intake import measure_intake
from tests.benchmarks.events.large_log import fill
from tests.benchmarks.events.logging_cost import measure_logging

pytestmark = pytest.mark.untimed


def test_intake_is_measured(tmp_path: Path) -> None:
    """2,000 events are stored both ways."""
    found = measure_intake(tmp_path, 2_000)
    assert found.events == 2_000
    assert found.ratio > 0


def test_long_log_is_reported(tmp_path: Path) -> None:
    """A log of 2,000 exposures is filled in and counted whole, with time and memory."""
    path = open_event_database(tmp_path)
    fill(path, 2_000)
    command = [sys.executable, "-m", "tests.benchmarks.events.report", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert msgspec.json.decode(done.stdout)["exposures"] == 2_000


@pytest.mark.skipif(
    shutil.which("wrk") is None and "ENDCAP_CI" not in os.environ, reason="needs wrk"
)
@pytest.mark.slow
def test_cost_of_logging_is_measured(tmp_path: Path) -> None:
    """One turn of twenty pages with the log of exposures and one without, none of which fails."""
    found = measure_logging(tmp_path, rate=20, seconds=1, turns=1, n_items=300, n_users=400)
    assert min(found.p99_ms_with, found.p99_ms_without, found.p99_ratio) > 0
