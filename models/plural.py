"""How a number and its noun are written, wherever people read: 1 unit, 2 units."""

from __future__ import annotations


def plural(n: float, one: str, many: str | None = None) -> str:
    """Write a number, thousands apart, and its noun, which gets an s unless `many` is given."""
    return f"{n:,.0f} {one if n == 1 else many or one + 's'}"
