"""External ids: the rule at its edges."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import IdError
from models.ids import check_id, list_known


@pytest.mark.parametrize("value", ["a", "x" * 256, "ü" * 128, "👟", " "])
def test_ids_of_1_to_256_bytes_pass(value: str) -> None:
    """Length is counted in bytes of UTF-8."""
    assert check_id(value) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "has 0 bytes"),
        ("x" * 257, "has 257 bytes"),
        ("ü" * 129, "has 258 bytes"),
        ("a\0b", "contains a NUL"),
        ("\ud800", "is not valid UTF-8"),
    ],
)
def test_other_ids_are_refused_by_name(value: str, message: str) -> None:
    """The error says which field, what is wrong, and never repeats a long value whole."""
    with pytest.raises(IdError, match=message) as caught:
        check_id(value, "item_id")
    assert "item_id" in str(caught.value)
    assert len(str(caught.value)) < 200


@given(st.text(max_size=300))
def test_any_text_passes_or_is_an_id_error(value: str) -> None:
    """No text raises anything else, and what passes obeys the rule."""
    with contextlib.suppress(IdError):
        assert check_id(value) == value
        assert 1 <= len(value.encode()) <= 256
        assert "\0" not in value


def test_list_known_is_sorted_and_bounded() -> None:
    """A long list is cut, with the number of the rest."""
    assert list_known([]) == "none is known yet"
    assert list_known(["b", "a"]) == "known: a, b"
    assert list_known(["c", "b", "a"], limit=2) == "known: a, b (and 1 more)"
