"""The basket in a cookie: what was put in comes out, what is forged is empty."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.storefront.basket import (
    MAX_LINES,
    MAX_QUANTITY,
    put_in,
    read_basket,
    read_order,
    take_out,
    write_basket,
    write_order,
)

LINES = st.dictionaries(
    st.text(min_size=1, max_size=256).filter(lambda text: text.isprintable()),
    st.integers(1, MAX_QUANTITY),
    max_size=MAX_LINES,
)


@given(LINES)
def test_basket_survives_the_cookie(lines: dict[str, int]) -> None:
    """Reading what was written is the identity, whatever the ids hold."""
    assert read_basket(write_basket(lines)) == lines
    assert read_order(write_order("o1", lines)) == ("o1", lines)


def _cookie(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "forged",
    [
        None,
        "",
        "%%%",
        "Zm9v",
        _cookie('{"lines": {"mug": 0}}'),
        _cookie('{"lines": {"mug": 99999}}'),
        _cookie('{"lines": {"": 1}}'),
        _cookie('{"lines": [1]}'),
    ],
)
def test_forged_basket_is_empty(forged: str | None) -> None:
    """What no page of ours wrote is an empty basket, never an error."""
    assert read_basket(forged) == {}


def test_basket_has_bounds() -> None:
    """Nine pieces of an item and twenty items fit; a tenth piece and another item do not."""
    full = {f"p{n}": 1 for n in range(MAX_LINES)}
    assert put_in(full, "one more") == full
    assert put_in(full, "p0")["p0"] == 2
    assert put_in({"mug": MAX_QUANTITY}, "mug") == {"mug": MAX_QUANTITY}
    assert take_out({"mug": 2, "pan": 1}, "mug") == {"pan": 1}
    assert take_out({}, "mug") == {}
