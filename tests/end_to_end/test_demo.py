"""The demo as a user runs it: real trainer, real server, shoppers over HTTP, one JSON object."""

import math
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from training.simulation.result import DemoResult


def _demo(home: Path, *options: str) -> DemoResult:
    command = [sys.executable, "-m", "endcap", "demo", "--home", str(home), "--port", "0", "--json"]
    run = subprocess.run([*command, *options], capture_output=True, timeout=110, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return msgspec.json.decode(run.stdout, type=DemoResult)


def _n_rendered(home: Path, placement_id: str) -> int:
    """Count the slates of a placement that shoppers said they saw."""
    with closing(sqlite3.connect(home / "events.sqlite")) as connection:
        (n,) = connection.execute(
            "SELECT count(*) FROM exposures AS shown JOIN events USING (exposure_id) "
            "WHERE shown.placement_id = ? AND events.kind = 16",
            (placement_id,),
        ).fetchone()
    return int(n)


@pytest.mark.slow
def test_demo_serves_logs_and_measures_what_was_planted(tmp_path: Path) -> None:
    """No call fails, every exposure is on disk, the measured lift lies around the planted one."""
    # Of 24,000 interactions, as so many shoppers leave, the model is better than popularity by so
    # little that a history of another hour could fail at the gate.
    size = ("--items", "300", "--shoppers", "600", "--interactions", "60000")
    result = _demo(tmp_path, *size, "--seconds", "10", "--rate", "150")
    assert result.errors.n == 0
    assert result.server_exit_status == 0
    assert result.served.n_pages > 100
    assert result.exposures.assigned == result.exposures.stored == result.served.n_slates
    assert result.exposures.dropped == 0
    assert result.events.duplicate == result.events.rejected == 0
    assert result.tiers["personal"] > 0
    assert result.addresses["shop"].endswith("/demo")
    assert _n_rendered(tmp_path, "home_hero") > 50
    lift = result.lift
    # Fewer than some ten clicks of the control leave no bound above, so the report says nothing:
    # 150 visits a second bring about 60, and 60 for 8 s brought 16 to 24.
    assert lift.measured is not None
    assert lift.planted is not None
    assert lift.planted > 0
    # Twice as wide as the 95 % interval is 99.99 %: a run in ten thousand may fail. Its half as a
    # part of the ratio, for the low end of so few clicks may lie below -100 %.
    spread = 2 * (lift.measured.high - lift.measured.value) / (1 + lift.measured.value)
    assert abs(math.log1p(lift.measured.value) - math.log1p(lift.planted)) < spread
