"""The instrument of serving, small: that its requests are answered well, not how fast."""

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
@pytest.mark.timeout(300)  # it takes a minute on an idle machine, two on a busy one
def test_benchmark_answers_every_request_and_logs_every_exposure(tmp_path: Path) -> None:
    """No request fails, swap included, each page is logged, and the named figures are there."""
    command = [sys.executable, "-m", "tests.benchmarks.serve", "--items", "300", "--users", "400"]
    command += ["--seconds", "1", "--rounds", "1", "--rate", "50", "--swaps", "2", "--json"]
    output = subprocess.run(
        [*command, "--folder", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert output.returncode == 0, output.stderr
    result = json.loads(output.stdout)
    assert result["n_failed"] == 0
    assert [one["n_failed"] for one in result["swaps"]] == [0, 0]
    assert all(one["is_swapped"] for one in result["swaps"])
    assert result["ratio_p99_swap"] > 0
    assert result["exposures"]["served"] == result["exposures"]["assigned"] > 0
    assert result["exposures"]["dropped"] == 0
    assert result["ratio_page_warm"] > 0
    assert result["ratio_page_new_user"] > 0
    assert sum(result["tier_shares"].values()) == pytest.approx(1, abs=0.01)
