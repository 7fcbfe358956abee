"""The stopwatch that bounds are measured with."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import busy_machine
from tests.busy_machine import Stopwatch

FIGURES = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 total=99\n"


@pytest.mark.parametrize(
    ("stalled_s", "expected_s"),
    [(None, 4.0), (0.0, 4.0), (1.0, 3.1), (4.0, 0.4), (9.0, 0.4)],
)
def test_stopwatch_leaves_out_most_of_what_was_waited_for_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stalled_s: float | None, expected_s: float
) -> None:
    """Of four seconds nine tenths of those count less; without Linux's figures all four count."""
    pressure, moments = tmp_path / "cpu", iter((100.0, 104.0))
    monkeypatch.setattr(busy_machine, "PRESSURE", pressure)
    monkeypatch.setattr(busy_machine, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    if stalled_s is not None:
        pressure.write_text(FIGURES.format(7_000_000))
    watch = Stopwatch()
    if stalled_s is not None:
        pressure.write_text(FIGURES.format(7_000_000 + int(stalled_s * 1e6)))
    assert watch.seconds() == pytest.approx(expected_s)


def test_stopwatch_reads_this_machine() -> None:
    """Whatever it says of waiting, it is a time."""
    assert 0 <= Stopwatch().seconds() < 60
