"""Rounded numbers are the same in whatever order they are added up."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.recommenders.content import unit_rows
from models.recommenders.rounding import GRID, exact_cosines, settle


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 200))
def test_cosines_do_not_depend_on_the_order_of_sums(seed: int, n_rows: int, d: int) -> None:
    """Shuffling the dimensions, as another number of threads would, changes no bit."""
    rng = np.random.default_rng(seed)
    rows = settle(unit_rows(rng.standard_normal((n_rows, d))))
    order = rng.permutation(d)
    shuffled = np.ascontiguousarray(rows[:, order])
    assert np.array_equal(exact_cosines(rows, rows), exact_cosines(shuffled, shuffled))


def test_settle_rounds_to_the_grid() -> None:
    """Noise below the grid goes, and so does the sign of zero."""
    found = settle(np.array([0.5 + 1e-9, -1e-9, 1 / 3]))
    assert found.tolist() == [0.5, 0.0, round(GRID / 3) / GRID]
    assert not np.signbit(found[1])
