"""The instrument of several workers, small: that its requests are answered, not how fast."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    shutil.which("wrk") is None and "ENDCAP_CI" not in os.environ, reason="needs wrk"
)
@pytest.mark.slow
@pytest.mark.untimed
@pytest.mark.timeout(300)
def test_scale_measures_workers_against_one(tmp_path: Path) -> None:
    """No request fails, both ratios are there, and only workers that share find anything."""
    command = [sys.executable, "-m", "tests.benchmarks.serve", "--items", "300", "--users", "400"]
    command += ["--scale", "2", "--seconds", "1", "--rounds", "1", "--json"]
    output = subprocess.run(
        [*command, "--folder", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert output.returncode == 0, output.stderr
    result = json.loads(output.stdout)
    assert result["n_failed"] == 0
    assert result["ratio_workers_page_quiet"] > 0
    assert result["ratio_workers_page_warm"] > 0
    [turn] = result["turns"]
    found = {name: sum(page["n_found"] for page in turn[name].values()) for name in turn}
    assert (found["one"], found["apart"]) == (0, 0)
    assert found["several"] > 0 or sys.platform != "linux"
