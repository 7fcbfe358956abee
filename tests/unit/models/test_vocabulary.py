"""The vocabulary: ids to rows and back, for any text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import vocabulary
from models.errors import InputError
from models.vocabulary import MISSING_ROW, Vocabulary

IDS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), unique=True
)


@given(IDS)
def test_ids_and_rows_round_trip(ids: list[str]) -> None:
    """Every id has the row of its place, and every row its id, also after storage."""
    for known in (
        Vocabulary.from_ids(ids),
        Vocabulary.from_arrays(Vocabulary.from_ids(ids).to_arrays()),
    ):
        assert list(known) == ids
        assert known.rows(ids).tolist() == list(range(len(ids)))
        assert known.ids(range(len(ids))) == ids
        assert len(known) == len(ids)


@given(IDS, st.text(st.characters(exclude_categories=["Cs"])))
def test_unknown_id_has_no_row(ids: list[str], other: str) -> None:
    """An id that was not given is missing, never another's row."""
    known = Vocabulary.from_ids(ids)
    assert (other in known) == (other in ids)
    assert known.row(other) == (ids.index(other) if other in ids else MISSING_ROW)


def test_equal_hashes_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """When two ids have one hash their text decides."""
    monkeypatch.setattr(vocabulary, "_hash", lambda _: 7)
    known = Vocabulary.from_ids(["a", "b", "ab"])
    assert known.rows(["ab", "a", "b", "ba"]).tolist() == [2, 0, 1, MISSING_ROW]


def test_empty_vocabulary_knows_nothing() -> None:
    """No ids is a vocabulary too."""
    known = Vocabulary.from_ids([])
    assert list(known) == []
    assert known.row("a") == MISSING_ROW
    assert known.rows([]).dtype == np.int32


def test_repeated_id_is_refused() -> None:
    """Two rows for one id would split its history."""
    with pytest.raises(InputError, match="'b' occurs twice"):
        Vocabulary.from_ids(["a", "b", "b"])


@pytest.mark.parametrize("row", [-1, 1])
def test_row_outside_is_an_index_error(row: int) -> None:
    """A negative row does not count from the end."""
    with pytest.raises(IndexError, match=r"outside 0\.\.0"):
        Vocabulary.from_ids(["a"]).id(row)
