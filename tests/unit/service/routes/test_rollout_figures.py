"""Pictures of a rollout on a telephone: what is written along a side can be read."""

import re
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace

import pytest

from service.console.figure import Figure
from service.console.plotter import Plotter
from service.routes.console import rollout_figures

WIDEST_LABEL_PX = 50
"""Of +12.5% in 12 px, in a font that is wider than the one it was measured in."""
_LABEL = re.compile(r'translate\((-?[\d.]+),[-\d.]+\)"[^>]*>([+−]?[\d.]+(?: %)?)<')


@pytest.fixture(scope="module")
def plotter() -> Iterator[Plotter]:
    """Draw for real."""
    made = Plotter()
    yield made
    made.close()


def _gaps(figure: Figure) -> list[float]:
    at = sorted(float(x) for x, _ in _LABEL.findall(str(figure.narrow)))
    return [after - before for before, after in pairwise(at)]


@pytest.mark.parametrize("reach", [0.04, 0.13, 0.3, 1.1])
def test_labels_of_lifts_stand_apart_on_a_telephone(
    plotter: Plotter, monkeypatch: pytest.MonkeyPatch, reach: float
) -> None:
    """Whatever the widest interval is; there are two labels at least, to read a scale by."""
    names = ("click-through", "revenue per unit", "seen day 14-28")
    rows = [[name, "b", reach / 3, -0.6 * reach, reach, 0.0, reach / 2] for name in names]
    monkeypatch.setattr(rollout_figures, "metric_rows", lambda _: rows)
    monkeypatch.setattr(
        rollout_figures, "_color", lambda _: {"field": "variant", "type": "nominal"}
    )
    gaps = _gaps(rollout_figures.draw_metrics(plotter, None))  # type: ignore[arg-type]  # unread
    assert gaps
    assert min(gaps) > WIDEST_LABEL_PX


@pytest.mark.parametrize("hours", [3, 30, 24 * 9])
def test_axis_of_time_has_24_hours_and_says_utc(
    plotter: Plotter, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Afternoons are not mornings: from noon on, whole hours of the day, or days, are written."""
    noon_ms = 1_768_435_200_000 + 12 * 3_600_000
    until_ms = noon_ms + hours * 3_600_000
    monkeypatch.setattr(
        rollout_figures, "_color", lambda _: {"field": "variant", "type": "nominal"}
    )
    known = [[noon_ms, "b", 0.1, 0.0, 0.2], [until_ms, "b", 0.1, 0.0, 0.2]]
    epochs = [[1, noon_ms, until_ms, "b", 0.1, 0.0, 0.2]]
    monkeypatch.setattr(rollout_figures, "lift_rows", lambda *_: epochs)
    report = SimpleNamespace(epochs=())
    over_time = rollout_figures.draw_known_lift(plotter, report, "conversion", known, {})  # type: ignore[arg-type]  # has what is read
    by_epoch = rollout_figures.draw_lift(plotter, report, "conversion")  # type: ignore[arg-type]  # as above
    for figure in (over_time, by_epoch):
        assert figure.note.endswith("; UTC")
        for drawing in (str(figure.wide), str(figure.narrow)):
            labels = re.findall(r">(\d\d:\d\d|[1-9]\d? [A-Z][a-z]{2})<", drawing)
            assert len(labels) >= 2
            assert not re.search(r"[AP]M<|>\d\d [AP]", drawing)
            if hours == 3:
                assert labels[0] in ("12:00", "12:30", "13:00")
