"""Exploration: the stated propensity is the frequency, and a reload never flickers."""

from collections import Counter
from math import sqrt

import pytest

from service.serve.exploration import MS_PER_HOUR, draw_seed, explore
from service.serve.request import Context
from tests.snapshots import TRAINED_MS
from tests.unit.service.serve.pages import (
    decide,
    items_of,
    items_placement,
    make_shelf,
    make_visit,
)

N = 20_000
Z = 3.3
"""Of the 99.9 % interval."""


def test_stated_propensity_is_the_frequency() -> None:
    """Over many units each entry stands at each position as often as it is said to."""
    chosen, pools, share = ["a", "b", "c"], [["d", "e"], ["f"], []], 0.3
    seen: Counter[tuple[int, str]] = Counter()
    stated: dict[tuple[int, str], float] = {}
    for unit in range(N):
        seed = draw_seed("user_id", str(unit), "recs", 0)
        for position, (entry, propensity, _) in enumerate(explore(chosen, pools, share, seed)):
            seen[position, entry] += 1
            stated[position, entry] = propensity
    assert stated == {
        (0, "a"): 0.7,
        (0, "d"): 0.15,
        (0, "e"): 0.15,
        (1, "b"): 0.7,
        (1, "f"): 0.3,
        (2, "c"): 1.0,
    }
    for key, propensity in stated.items():
        margin = Z * sqrt(propensity * (1 - propensity) / N)
        assert abs(seen[key] / N - propensity) <= margin


@pytest.mark.parametrize("max_per_brand", [None, 1])
def test_propensity_of_a_slate_is_the_frequency(max_per_brand: int | None) -> None:
    """The same holds for whole slates, with new items among what chance may show."""
    shelf = make_shelf(items_placement(explore_share=0.4, max_per_brand=max_per_brand))
    n_units = 4_000
    seen: Counter[tuple[int, str]] = Counter()
    stated: dict[tuple[int, str], float] = {}
    for unit in range(n_units):
        [page] = decide(shelf, make_visit(shelf, anonymous_key=f"a{unit}"), "recs")
        for one in page.exposure.shown:
            seen[one.position, one.id] += 1
            assert stated.setdefault((one.position, one.id), one.propensity) == one.propensity
    totals: Counter[int] = Counter()
    for (position, item_id), propensity in stated.items():
        totals[position] += propensity  # type: ignore[assignment]  # a Counter adds floats as well
        margin = Z * sqrt(propensity * (1 - propensity) / n_units)
        assert abs(seen[position, item_id] / n_units - propensity) <= margin
    assert all(abs(total - 1) < 1e-9 for total in totals.values())


def test_new_items_are_among_what_chance_shows() -> None:
    """The item without an interaction has its turn, and is marked as explored."""
    shelf = make_shelf(items_placement(explore_share=0.5))
    sources = {
        one.source
        for unit in range(200)
        for page in decide(shelf, make_visit(shelf, anonymous_key=f"a{unit}"), "recs")
        for one in page.exposure.shown
        if one.id == "newmug"
    }
    assert sources == {"explore"}


def test_reload_within_the_hour_shows_the_same() -> None:
    """Draws change with the hour, the unit and the placement, and with nothing else."""
    shelf = make_shelf(items_placement(explore_share=0.5, count=5))

    def slate(now_ms: int, unit: str = "a1") -> list[str]:
        [page] = decide(shelf, make_visit(shelf, anonymous_key=unit, now_ms=now_ms), "recs")
        return items_of(page)

    hour_ms = TRAINED_MS // MS_PER_HOUR * MS_PER_HOUR
    assert slate(hour_ms) == slate(hour_ms + MS_PER_HOUR - 1)
    later = [slate(hour_ms + hours * MS_PER_HOUR) for hours in range(20)]
    assert len({tuple(one) for one in later}) > 1
    assert len({tuple(slate(hour_ms, f"a{unit}")) for unit in range(20)}) > 1


def test_nothing_is_drawn_without_a_unit() -> None:
    """Someone without an id gets the best list, with certainty."""
    shelf = make_shelf(items_placement(explore_share=0.5))
    [page] = decide(shelf, make_visit(shelf, context=Context(country="GB")), "recs")
    assert items_of(page) == ["spade", "rose", "mug"]
    assert [one.propensity for one in page.exposure.shown] == [1.0, 1.0, 1.0]


def test_seeds_keep_their_parts_apart() -> None:
    """("a", "bc") draws otherwise than ("ab", "c")."""
    assert draw_seed("user_id", "a", "bc", 0) != draw_seed("user_id", "ab", "c", 0)
