"""Histories: newest distinct items, weighed as the score weighs them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import InteractionKind
from models.histories import Histories
from models.manifest import Blend
from models.scoring import even_shares, history_weights
from tests.unit.models.small_dataset import NOW_MS, make_dataset

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 9)))


@given(ROWS)
def test_histories_are_distinct_and_in_order_of_time(rows: list[tuple[int, int, int]]) -> None:
    """Each item once per user, at its newest moment, oldest first; users without any are empty."""
    dataset = make_dataset(rows, 4, 5)
    found = Histories.of(dataset.interactions, 4, NOW_MS)
    assert len(found) == 4
    for user in range(4):
        newest: dict[int, int] = {}
        for owner, item, day in rows:
            if owner == user:
                newest[item] = max(day, newest.get(item, 0))
        expected = sorted(newest, key=lambda item: (newest[item], item))
        assert found.one(user).rows.tolist() == expected


@given(ROWS, st.lists(st.integers(0, 3), max_size=5), st.integers(0, 3))
def test_take_keeps_the_newest_of_the_chosen(
    rows: list[tuple[int, int, int]], users: list[int], k: int
) -> None:
    """Users in the order asked for, also twice, each with the tail of the history."""
    found = Histories.of(make_dataset(rows, 4, 5).interactions, 4, NOW_MS)
    taken = found.take(np.array(users, dtype=np.int64), max_recent=k)
    for place, user in enumerate(users):
        whole = found.one(user).rows.tolist()
        assert taken.one(place).rows.tolist() == whole[max(len(whole) - k, 0) :]


def test_the_strongest_kind_stays() -> None:
    """Bought once and looked at later: a purchase, at the later moment."""
    dataset = make_dataset([(0, 0, 1), (0, 0, 5)], 1, 1)
    dataset.interactions.kinds[:] = [InteractionKind.PURCHASE, InteractionKind.VIEW]
    history = Histories.of(dataset.interactions, 1, NOW_MS).one(0)
    assert history.kinds.tolist() == [InteractionKind.PURCHASE]
    assert history.at_ms.tolist() == [5 * 86_400_000]


def test_even_shares_leave_the_order_out() -> None:
    """A view one half-life older than the other has half of its share, γ or not."""
    dataset = make_dataset([(0, 0, 90), (0, 1, 100)], 1, 3, kind=InteractionKind.VIEW)
    found = Histories.of(dataset.interactions, 1, NOW_MS)
    blend = Blend(half_life_days=10.0, recency=1.0)
    even = found.even_shares(blend, 3).toarray()[0]
    assert even == pytest.approx([1 / 3, 2 / 3, 0])
    in_order = found.shares(blend, 3).toarray()[0, :2]
    assert in_order == pytest.approx([1 / 5, 4 / 5])
    assert even_shares(found.one(0), in_order, blend) == pytest.approx(even[:2])


def test_weights_are_those_of_scoring() -> None:
    """A view 10 days old with a half-life of 10 days weighs a half; one of today a whole."""
    dataset = make_dataset([(0, 1, 90), (1, 0, 100)], 3, 2, kind=InteractionKind.VIEW)
    found = Histories.of(dataset.interactions, 3, NOW_MS)
    blend = Blend(half_life_days=10.0)
    matrix = found.weights(blend, 2).toarray()
    assert matrix.tolist() == [[0.0, 0.5], [1.0, 0.0], [0.0, 0.0]]
    assert history_weights(found.one(0), NOW_MS, blend)[0] == pytest.approx(0.5)
