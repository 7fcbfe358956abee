"""The benchmarks of rollouts still run; how fast is not asked here."""

from pathlib import Path

import pytest

from tests.benchmarks.rollouts import evaluation, lists, propagation


@pytest.mark.untimed
def test_evaluation_benchmark_runs() -> None:
    """Every case is measured."""
    assert all(figure > 0 for figure in evaluation.measure(20, 100, n_rollouts=2).values())


def test_propagation_benchmark_runs(tmp_path: Path) -> None:
    """Every watcher sees every change."""
    found = propagation.measure(tmp_path, workers=2, n_changes=3, n_watchers=4)
    assert found["changes"] == 3


@pytest.mark.untimed
def test_list_benchmark_runs(tmp_path: Path) -> None:
    """A list is uploaded and in effect."""
    assert lists.measure(tmp_path, n_members=100, workers=2)["members"] == 100
