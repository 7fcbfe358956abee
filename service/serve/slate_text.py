"""A slate of items as JSON: once as the answer shows it, once as the log keeps it.

Most of the encoding of a page is its items, and both texts say the same of an item but for its
card. So the items are encoded once, with a line break where each card belongs: in JSON as it is
written here there is no other.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.exposure import Shown
from service.serve.page import ServedItem

CARD = msgspec.Raw(b"\n")
"""Stands for the card of an item that is written by `write_slate`."""

_WITH_CARD = b',"attributes":' + bytes(CARD)
_NULLS = b'"score":null,', b'"because":null,'
"""What the log leaves out. No text of an id ends so: its quotes are escaped."""

_encode = msgspec.json.Encoder().encode
_decode_served = msgspec.json.Decoder(tuple[ServedItem, ...]).decode
_decode_shown = msgspec.json.Decoder(tuple[Shown, ...]).decode


class SlateText(msgspec.Struct, frozen=True, gc=False):
    """A slate of items without anything of a request."""

    served: msgspec.Raw
    """JSON of a list of `ServedItem`."""
    shown: msgspec.Raw
    """JSON of a list of `Shown`."""

    @property
    def n_bytes(self) -> int:
        """How long both are."""
        return len(memoryview(self.served)) + len(memoryview(self.shown))

    def read(self) -> tuple[tuple[ServedItem, ...], tuple[Shown, ...]]:
        """Return both as structs."""
        return _decode_served(self.served), _decode_shown(self.shown)


def write_slate(served: Sequence[ServedItem], cards: Sequence[msgspec.Raw]) -> SlateText:
    """Write items whose `attributes` are `CARD`, each with its card."""
    text = _encode(served)
    parts: list[bytes | msgspec.Raw] = [b""] * (2 * len(cards) + 1)
    parts[::2] = text.split(b"\n")
    parts[1::2] = cards
    shown = text.replace(_WITH_CARD, b"")
    for null in _NULLS:
        shown = shown.replace(null, b"")
    return SlateText(msgspec.Raw(b"".join(parts)), msgspec.Raw(shown))
