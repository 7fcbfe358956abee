"""Pictures of a rollout on a telephone: what is written along a side can be read."""

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from service.console.figure import Figure
from service.console.plotter import Plotter
from service.routes.console import rollout_figures

WIDEST_LABEL_PX = 50
"""Of +12.5% in 12 px, in a font that is wider than the one it was measured in."""
_LABEL = re.compile(r'translate\((-?[\d.]+),[-\d.]+\)"[^>]*>([+−]?[\d.]+%?)<')


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
