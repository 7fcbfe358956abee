"""Distinct numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.distinct import distinct


@given(st.lists(st.integers(-(2**62), 2**62)))
def test_distinct_is_a_sorted_set(values: list[int]) -> None:
    """Each value is there once, ascending."""
    assert distinct(np.array(values, dtype=np.int64)).tolist() == sorted(set(values))
