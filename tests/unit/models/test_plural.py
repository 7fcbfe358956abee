"""A number and its noun, as people read them."""

from models.plural import plural


def test_noun_follows_its_number() -> None:
    """One is alone; nothing and many are not."""
    assert [plural(n, "unit") for n in (0, 1, 2, 1_000)] == [
        *("0 units", "1 unit", "2 units", "1,000 units"),
    ]
    assert [plural(n, "person", "people") for n in (1, 2)] == ["1 person", "2 people"]
