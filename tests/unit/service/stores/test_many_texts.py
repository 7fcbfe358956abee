"""Very many texts are found in one pass, and none that one after the other would not find."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stores.many_texts import FEW, ManyTexts

alike = st.text("ab", min_size=1, max_size=14).map(str.encode)
"""Of two letters, so that texts begin alike, lie in each other and overlap."""


@given(st.sets(alike, min_size=1, max_size=4 * FEW), st.text("ab", max_size=200).map(str.encode))
def test_found_are_those_that_stand_there(texts: set[bytes], data: bytes) -> None:
    """Short and long ones, at any place, also where the data is shorter than a word."""
    assert ManyTexts(texts).found_in(data) == {text for text in texts if text in data}


@pytest.mark.parametrize("place", range(17))
def test_text_is_found_at_every_offset(place: int) -> None:
    """Among bytes of chance, of which none begins as another text does."""
    chance = random.Random(7)
    texts = [chance.randbytes(length) for length in (8, 9, 16, 32) for _ in range(100)]
    many = ManyTexts(texts)
    assert many.longest == 32
    data = chance.randbytes(place)
    for text in texts:
        data += text + chance.randbytes(5)
    assert many.found_in(data) == set(texts)
    assert many.found_in(data[:-37]) == set(texts[:-1])
    assert many.found_in(chance.randbytes(10_000)) == set()


def test_many_texts_take_one_pass() -> None:
    """What is looked through is not asked for each of them."""

    class Asked(bytes):
        n_times = 0

        def __contains__(self, text: Any, /) -> bool:
            self.n_times += 1
            return super().__contains__(text)

    texts = [f"visitor-{number:06}".encode() for number in range(5_000)]
    data = Asked(b"-".join(texts[::1_000]))
    assert ManyTexts(texts).found_in(data) == set(texts[::1_000])
    assert data.n_times == 0


def test_nothing_is_found_of_nothing() -> None:
    """Neither of no texts, nor in no data."""
    assert ManyTexts([]).found_in(b"anything") == set()
    assert ManyTexts([b"12345678%d" % number for number in range(99)]).found_in(b"") == set()
