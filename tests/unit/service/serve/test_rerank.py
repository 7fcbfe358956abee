"""The bounded re-rank."""

from hypothesis import given
from hypothesis import strategies as st

from service.serve.rerank import spread


def test_spread_breaks_a_run() -> None:
    """The fourth of a category waits until another has stood between."""
    assert spread([7, 7, 7, 7, 8, 7]) == [0, 1, 2, 4, 3, 5]


def test_spread_keeps_unknown_categories_where_they_are() -> None:
    """-1 is no category, so it makes no run."""
    assert spread([-1, -1, -1, -1, 3]) == [0, 1, 2, 3, 4]


def test_spread_goes_on_where_nothing_else_is_left() -> None:
    """One category only: the order stays."""
    assert spread([5] * 6) == [0, 1, 2, 3, 4, 5]


@given(st.lists(st.integers(-1, 3), max_size=30), st.integers(1, 4))
def test_spread_robs_nobody(categories: list[int], max_run: int) -> None:
    """Every place is kept once, and a run is too long only if nothing else was left."""
    order = spread(categories, max_run)
    assert sorted(order) == list(range(len(categories)))
    run = 0
    for turn, place in enumerate(order):
        follows = turn > 0 and categories[place] == categories[order[turn - 1]]
        run = run + 1 if follows else 1
        if categories[place] != -1 and run > max_run:
            assert {categories[rest] for rest in order[turn:]} == {categories[place]}
