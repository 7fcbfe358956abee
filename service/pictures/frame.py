"""What a format's reader finds in a picture: its size, and where it ends."""

from __future__ import annotations

from typing import NamedTuple


class Frame(NamedTuple):
    """The outline of a picture."""

    width: int
    """In pixels."""
    height: int
    n_bytes: int
    """From the first byte to the last of the picture; what follows is not of it."""


class BrokenPictureError(ValueError):
    """The bytes begin as a picture and do not go on as one; says where."""
