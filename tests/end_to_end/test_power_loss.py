"""A change and its audit row are on disk together or not at all, wherever the process dies."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.control.trail import check_trail
from tests.unit.service.control.samples import Worker


def change(home: Path, n_survived: int) -> subprocess.CompletedProcess[str]:
    """Run a change that dies after so many statements."""
    command = [sys.executable, "-m", "tests.end_to_end.die_while_changing"]
    return subprocess.run(
        [*command, str(home), str(n_survived)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.untimed
def test_power_loss_between_audit_and_change_leaves_both_or_neither(tmp_path: Path) -> None:
    """Killed before any statement of the transaction, or its commit, nothing is there."""
    whole = tmp_path / "whole"
    n_statements = int(change(whole, 1_000).stdout)
    # the read, the last rows of trail and epochs, the audit row, the document, the epoch, COMMIT
    assert n_statements >= 6
    for n_survived in range(n_statements):
        home = tmp_path / str(n_survived)
        died = change(home, n_survived)
        assert died.returncode == -signal.SIGKILL, died.stderr
        worker = Worker(home)
        try:
            found = check_trail(worker.store)
            assert (found.is_whole, found.n_rows) == (True, 0)
            assert worker.current.get().rollouts == {}
        finally:
            worker.close()
    worker = Worker(whole)
    try:
        assert check_trail(worker.store).n_rows == 1
        assert worker.current.get().rollouts["r"].share_ppm == 500_000
    finally:
        worker.close()
