"""The screen of the demo: what it says before, during and after the visits, at any width."""

import io

import numpy as np
import pytest
from rich.console import Console

from training.simulation.counters import Counters
from training.simulation.display import Scene, draw
from training.simulation.office import Ledger


def _show(scene: Scene, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(draw(scene))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _scene(counters: Counters) -> Scene:
    return Scene(
        counters=counters, headline="a shop", addresses=[("API", "http://x")], elapsed_s=3.0
    )


def test_display_waits_for_the_first_clicks() -> None:
    """Before the first call there is nothing to divide by, and it says that it waits."""
    shown = _show(_scene(Counters()), 100)
    assert "waiting for clicks in both arms" in shown
    assert "http://x" in shown


def test_display_shows_arms_beside_what_was_planted() -> None:
    """With 1 of 2 slates clicked and 0.25 expected, an arm shows 50.00% beside 25.00%."""
    counters = Counters()
    for variant, chance in (("control", 0.25), ("personal", 0.5)):
        for clicked in (True, False):
            counters.truth.arm(1, variant).add(np.array([chance]), np.array([clicked]))
    counters.count_page("abc", ["personal", "static"])
    counters.count_call("serve", 4.0)
    shown = _show(_scene(counters), 100)
    control = next(line for line in shown.splitlines() if "best sellers" in line)
    assert "50.00%" in control
    assert "25.00%" in control
    assert "planted +100%" in shown
    assert "personal 50% static 50%" in shown


def test_display_never_hides_what_went_wrong() -> None:
    """Errors, dropped exposures and the first failure in words are on the screen."""
    counters = Counters()
    counters.count_error("serve", "503", "the store is gone")
    scene = _scene(counters)
    scene.ledger = Ledger(exposures_assigned=5, exposures_stored=3, exposures_dropped=2)
    shown = _show(scene, 100)
    assert "1 error " in shown
    assert "serve 503 the store is gone" in shown
    assert "3 of 5 on disk, 2 dropped" in shown


@pytest.mark.parametrize("width", [60, 80, 120])
def test_display_fits_a_terminal(width: int) -> None:
    """No line is wider than the terminal, and on a common one the screen has at most 24 lines."""
    counters = Counters()
    counters.count_page("abc", ["personal", "segment", "popular", "static"])
    scene = _scene(counters)
    scene.rates.extend([100.0] * 30)
    scene.news.append("training again")
    lines = _show(scene, width).splitlines()
    assert max(map(len, lines)) <= width
    if width >= 80:
        assert len(lines) <= 24
