"""How much is learnt of single shoppers follows from how much the data can tell."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.manifest import Blend
from models.recommenders.moments import Moments
from models.recommenders.regime import CLOCK_POPULARITY, PRIOR_USERS, WITHOUT_ORDER, regime_of
from models.recommenders.spectral import low_pass_factors
from tests.unit.models.small_dataset import Row, make_dataset


def moments(rows: list[Row], n_users: int, n_items: int) -> Moments:
    """Sort the rows."""
    return Moments.of(make_dataset(rows, n_users, n_items), Blend(), max_per_user=99)


def test_users_per_item_count_each_once_and_leave_out_what_nobody_met() -> None:
    """Three items of ten were met, by two users, one and one; a second purchase counts no more."""
    rows = [(0, 0, 10), (0, 0, 20), (1, 0, 30), (1, 4, 30), (2, 9, 50)]
    assert moments(rows, 3, 10).users_per_item == pytest.approx(4 / 3)
    assert moments([], 3, 10).users_per_item == 0


def test_what_is_popular_counts_more_where_items_have_few_users() -> None:
    """With one user an item 51 times as much as with very many, with 50 twice, by a clock only."""
    few = [(user, user, 10 + user) for user in range(50)]
    many = [(user, 0, 10 + user) for user in range(50)]
    assert regime_of(moments(few, 50, 50)).popularity == pytest.approx(
        CLOCK_POPULARITY * (1 + PRIOR_USERS)
    )
    assert regime_of(moments(many, 50, 50)).popularity == pytest.approx(CLOCK_POPULARITY * 2)
    timeless = [(user, item, 10) for user in range(5) for item in range(user, user + 3)]
    assert regime_of(moments(timeless, 5, 9)).popularity == WITHOUT_ORDER.popularity


@pytest.mark.parametrize(
    ("n_users", "n_items", "expected"),
    [(1_200, 900, 30), (900, 5_000, 30), (300, 300, 16), (20, 300, 10), (1_200, 1_500, 32)],
)
def test_dimensions_follow_how_many_share_a_taste(
    n_users: int, n_items: int, expected: int
) -> None:
    """One for 30 users or items, no less than 16, nor more than half of them or than asked for."""
    drawn = np.random.default_rng(1).random((n_users, 20))
    columns = (drawn * n_items).astype(np.int64).ravel()
    parts = (np.ones(columns.size, dtype=np.float32), columns, np.arange(n_users + 1) * 20)
    user_items = csr_matrix(parts, shape=(n_users, n_items))
    assert low_pass_factors(user_items, 32, seed=1).factors.shape == (n_items, expected)
