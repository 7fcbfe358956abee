"""Lists of different lengths in flat arrays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from models.ragged import Neighbours, RowLists, Texts, offsets_of


@given(st.lists(st.lists(st.integers(0, 2**31 - 1))))
def test_row_lists_round_trip(lists: list[list[int]]) -> None:
    """What goes in comes out, empty lists too."""
    found = RowLists.of(lists)
    assert [found[row].tolist() for row in range(len(found))] == lists


@given(st.lists(st.binary()))
def test_texts_round_trip(texts: list[bytes]) -> None:
    """Bytes of any content and length."""
    found = Texts.of(texts)
    assert [found[row] for row in range(len(found))] == texts


def test_offsets_of_lengths() -> None:
    """Offsets begin with 0 and end with the number of values."""
    assert offsets_of([2, 0, 3]).tolist() == [0, 2, 2, 5]
    assert offsets_of([]).tolist() == [0]


def test_neighbours_keep_the_largest_positive_weights() -> None:
    """Each row keeps its k largest, equal ones by column; zero and negative weights go."""
    matrix = csr_matrix(np.array([[1, 3, 3, 2], [0, -1, 0, 0], [0, 0, 5, 0]], dtype=np.float32))
    found = Neighbours.from_csr(matrix, 3)
    assert [found[row][0].tolist() for row in range(3)] == [[1, 2, 3], [], [2]]
    assert found[0][1].tolist() == [3.0, 3.0, 2.0]


@given(
    st.lists(st.lists(st.integers(-2, 5), min_size=4, max_size=4), min_size=1, max_size=5),
    st.integers(0, 5),
)
def test_neighbours_agree_with_a_sort(values: list[list[int]], k: int) -> None:
    """The lists are those of a plain sort, and become the matrix again."""
    found = Neighbours.from_csr(csr_matrix(np.array(values, dtype=np.float32)), k)
    for row, line in enumerate(values):
        best = sorted((-value, column) for column, value in enumerate(line) if value > 0)[:k]
        assert found[row][0].tolist() == [column for _, column in best]
        dense = found.to_csr(4).toarray()[row]
        assert dense.sum() == sum(-value for value, _ in best)
