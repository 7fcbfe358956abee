"""Pictures drawn by the process beside."""

import re
from collections.abc import Iterator

import pytest

from service.console.figure import Figure, make_figure
from service.console.plotter import Plotter, Spec
from service.console.specs import bars_by_name

SPEC: Spec = {
    "data": {"values": [{"day": "2026-01-01", "n": 3}, {"day": "2026-01-02", "n": 5}]},
    "mark": "bar",
    "encoding": {
        "x": {"field": "day", "type": "ordinal"},
        "y": {"field": "n", "type": "quantitative"},
    },
}


@pytest.fixture(scope="module")
def plotter() -> Iterator[Plotter]:
    """Start a plotter and end it."""
    made = Plotter()
    yield made
    made.close()


def figure(plotter: Plotter, spec: Spec) -> Figure:
    """Draw two days."""
    return make_figure(
        plotter,
        spec,
        title="Orders <a day>",
        description="Three, then five.",
        columns=["Day", "Orders"],
        rows=[["2026-01-01", 3], ["2026-01-02", 5]],
    )


def test_figure_has_a_name_and_no_style(plotter: Plotter) -> None:
    """One image to a screen reader; nothing in it that a strict policy forbids; ids of its own."""
    drawn = figure(plotter, SPEC)
    for svg in (drawn.wide, drawn.narrow):
        assert svg.startswith('<svg viewBox="0 0 ')
        assert 'role="img"' in svg
        assert "Orders &lt;a day&gt;</title>" in svg
        assert svg.count("role=") == 1
        assert "style" not in svg
        assert "var(--series-1)" in svg
    assert drawn.wide[:60] != drawn.narrow[:60]


def test_text_of_a_picture_stands_as_it_is(plotter: Plotter) -> None:
    """Whatever a name looks like: nothing of the drawing is swallowed, and no digit is lost."""
    names = ['a role="x" b', 'c id="q" 1.23456', 'd aria-label="']
    bars = bars_by_name([(name, float(place), "n") for place, name in enumerate(names, 1)])
    texts = re.findall("<text[^>]*>([^<]*)</text>", figure(plotter, bars).wide)
    assert sorted({*texts} - {"n"}) == names


def test_figure_that_cannot_be_drawn_is_its_table(plotter: Plotter) -> None:
    """The page is right without the picture, and the process goes on."""
    broken = figure(plotter, {"mark": "no such mark"})
    assert "cannot be drawn" in broken.wide
    assert broken.rows == [["2026-01-01", 3], ["2026-01-02", 5]]
    assert "<svg" in figure(plotter, SPEC).wide


def test_plotter_draws_again_after_its_process_ended() -> None:
    """A process that was killed is started anew; what was drawn is kept."""
    plotter = Plotter()
    first = plotter.draw({**SPEC, "title": "first"})
    assert plotter._process is not None
    plotter._process.kill()
    plotter._process.wait()
    assert plotter.draw({**SPEC, "title": "first"}) == first
    assert "<svg" in plotter.draw({**SPEC, "title": "second"})
    plotter.close()
