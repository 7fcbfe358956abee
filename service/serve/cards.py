"""Reads the card of an item: what a page, or a person who looks an item up, is told of it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW


class Card(msgspec.Struct, frozen=True, gc=False):
    """What a card says, where it has the usual shape."""

    title: str | None = None
    image_url: str | None = None
    url: str | None = None
    attributes: msgspec.Raw = msgspec.Raw()

    @property
    def has_attributes(self) -> bool:
        """Whether any are named, in whatever shape."""
        return bytes(self.attributes) not in _NO_ATTRIBUTES


_NO_ATTRIBUTES = frozenset({b"", b"null", b"[]", b"{}"})
_decode = msgspec.json.Decoder(Card).decode
_NOTHING = Card()


def read_card(card: bytes) -> Card:
    """Decode a card; one of another shape, which is still served as it is, says nothing."""
    if not card:
        return _NOTHING
    try:
        return _decode(card)
    except msgspec.DecodeError:
        return _NOTHING


def titles_of(snapshot: Snapshot | None, item_ids: Iterable[str]) -> dict[str, str]:
    """Return the titles of those items that the model knows by one."""
    if snapshot is None:
        return {}
    items = snapshot.items
    rows = {item_id: items.ids.row(item_id) for item_id in set(item_ids)}
    return {
        item_id: title
        for item_id, row in rows.items()
        if row != MISSING_ROW and (title := read_card(items.cards[row]).title)
    }
