"""What a client has already need not be sent."""

import pytest

from service.routes.etags import has_already


@pytest.mark.parametrize("sent", ['"a"', 'W/"a"', '"b", "a"', '"b",W/"a"', "*", ' "a" '])
def test_tag_is_known_however_it_is_sent(sent: str) -> None:
    """Weak, in a list, or any: all of these are tags of what would be sent."""
    assert has_already(sent, '"a"')


@pytest.mark.parametrize("sent", [None, "", '"b"', "a", 'w/"a"', '"A"'])
def test_other_tag_is_not(sent: str | None) -> None:
    """A tag has its quotes, and case counts."""
    assert not has_already(sent, '"a"')
