"""Events on the wire: one tagged union, told apart by ``event``, with a schema version.

A shop's frontends send these to the service; the trainer's interactions are the same names in
columns.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Annotated, Final, Literal

import msgspec

SCHEMA_VERSION: Final = 1

Grade = Literal["assigned", "rendered", "viewable"]
"""How far it got: the server decided / it was drawn / half of it or of a window showed for 1 s."""


class InteractionKind(IntEnum):
    """An interaction's name as the int8 code used in arrays; never renumber."""

    VIEW = 0
    CLICK = 1
    ADD_TO_CART = 2
    PURCHASE = 3
    REFUND = 4

    @property
    def event(self) -> str:
        """The name on the wire and in files."""
        return self.name.lower()


INTERACTION_KINDS = {kind.event: kind for kind in InteractionKind}

ExternalId = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern="^[^\\x00]*$")]
"""1 to 256 characters without NUL; `models.ids.check_id` holds the exact rule in bytes."""

WireId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
"""An id of an event: intake checks bytes and NUL, for a pattern costs most of the decoding."""

ShortText = Annotated[str, msgspec.Meta(max_length=64)]


Quantity = Annotated[float, msgspec.Meta(gt=0, le=1e9)]

Price = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""Bounded so that no sum of them is infinite."""


UserAgent = Annotated[str, msgspec.Meta(max_length=1024)]
"""Of the shopper's browser, for a server that sends what shoppers did; looked at, not stored."""


class WireEvent(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="event"
):
    """What every event has. `timestamp` is ISO 8601 with an offset, or epoch ms; else arrival."""

    event_id: WireId
    timestamp: datetime | int | None = None
    user_id: WireId | None = None
    anonymous_id: WireId | None = None
    session_id: WireId | None = None
    consent: bool = True
    country: ShortText | None = None
    channel: ShortText | None = None
    platform: ShortText | None = None
    exposure_id: WireId | None = None
    preview: bool = False
    user_agent: UserAgent | None = None
    schema_version: Literal[1] = SCHEMA_VERSION


class View(WireEvent, frozen=True, kw_only=True, tag="view"):
    """A shopper looked at the page of an item."""

    item_id: WireId


class Click(WireEvent, frozen=True, kw_only=True, tag="click"):
    """A shopper chose an item or a banner; exactly one of the two is named."""

    item_id: WireId | None = None
    banner_id: WireId | None = None

    def __post_init__(self) -> None:
        if (self.item_id is None) == (self.banner_id is None):
            raise ValueError("a click names exactly one of item_id and banner_id")


class AddToCart(WireEvent, frozen=True, kw_only=True, tag="add_to_cart"):
    """A shopper put an item into the basket."""

    item_id: WireId
    quantity: Quantity = 1.0
    price: Price | None = None


class Purchase(WireEvent, frozen=True, kw_only=True, tag="purchase"):
    """A line of a paid order; `price` is per unit, in the shop's one currency."""

    item_id: WireId
    quantity: Quantity = 1.0
    price: Price | None = None
    order_id: WireId | None = None


class Refund(WireEvent, frozen=True, kw_only=True, tag="refund"):
    """A line of an order taken back; `quantity` is positive."""

    item_id: WireId
    quantity: Quantity = 1.0
    price: Price | None = None
    order_id: WireId | None = None


class ExposureEvent(WireEvent, frozen=True, kw_only=True, tag="exposure"):
    """A client's report of how far a slate got; it names the exposure the service assigned."""

    grade: Literal["rendered", "viewable"]
    variant: ShortText | None = None
    """The variant that the client drew, if it decides that, or knows; reports name what differs."""

    def __post_init__(self) -> None:
        if self.exposure_id is None:
            raise ValueError("an exposure event names the exposure_id it was served with")


EVENT_KINDS: dict[type[WireEvent], InteractionKind] = {
    View: InteractionKind.VIEW,
    Click: InteractionKind.CLICK,
    AddToCart: InteractionKind.ADD_TO_CART,
    Purchase: InteractionKind.PURCHASE,
    Refund: InteractionKind.REFUND,
}

Event = View | Click | AddToCart | Purchase | Refund | ExposureEvent
"""The union: decode with ``msgspec.json.Decoder(Event)``."""
