"""Types of the fields that several documents share: names, labels, shares, revisions."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$",
        description="1 to 64 letters, digits, `_`, `.`, `:` or `-`, the first a letter or a digit",
    ),
]
Share = Annotated[
    float,
    Meta(
        ge=0,
        le=1,
        description="share of the units that are treated, 0 to 1, exact to 0.000001",
    ),
]
Label = Annotated[str, Meta(max_length=200, description="for people")]
Revision = Annotated[
    int,
    Meta(
        ge=0,
        description="set by the server; sent back with a change it must still be the current one",
    ),
]


def ppm_of(share: float) -> int:
    """Return a share in parts per million, to the nearest: less than half a part is nobody."""
    return round(share * 1_000_000)
