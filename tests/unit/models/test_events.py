"""Events on the wire: what decodes, what is refused, and where the error points."""

import msgspec
import pytest

from models.events import (
    INTERACTION_KINDS,
    AddToCart,
    Click,
    Event,
    ExposureEvent,
    InteractionKind,
    Purchase,
    Refund,
    View,
)

decode = msgspec.json.Decoder(Event).decode


@pytest.mark.parametrize(
    "event",
    [
        View(event_id="e", item_id="i"),
        Click(event_id="e", banner_id="b", consent=False),
        AddToCart(event_id="e", item_id="i", quantity=2.0),
        Purchase(event_id="e", item_id="i", price=6.95, order_id="o", timestamp=5),
        Refund(event_id="e", item_id="köpek"),
        ExposureEvent(event_id="e", exposure_id="x", grade="viewable"),
    ],
)
def test_events_round_trip(event: Event) -> None:
    """Decoding what was encoded gives the same event, told apart by its name."""
    assert decode(msgspec.json.encode(event)) == event


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"event":"stare","event_id":"e"}', "event"),
        ('{"event":"view","event_id":"e"}', "item_id"),
        ('{"event":"view","event_id":"","item_id":"i"}', "event_id"),
        ('{"event":"view","event_id":"e","item_id":"i","colour":"red"}', "colour"),
        ('{"event":"purchase","event_id":"e","item_id":"i","quantity":0}', "quantity"),
        ('{"event":"purchase","event_id":"e","item_id":"i","price":-1}', "price"),
        ('{"event":"click","event_id":"e"}', "exactly one of item_id and banner_id"),
        ('{"event":"click","event_id":"e","item_id":"i","banner_id":"b"}', "exactly one"),
        ('{"event":"exposure","event_id":"e","grade":"rendered"}', "exposure_id"),
        ('{"event":"exposure","event_id":"e","exposure_id":"x","grade":"assigned"}', "grade"),
        ('{"event":"view","event_id":"e","item_id":"i","schema_version":2}', "schema_version"),
    ],
)
def test_bad_events_are_refused_by_field(body: str, path: str) -> None:
    """The message says which field is wrong."""
    with pytest.raises(msgspec.ValidationError, match=path):
        decode(body)


def test_kind_codes_never_change() -> None:
    """The codes are stored in published models."""
    assert {event: int(kind) for event, kind in INTERACTION_KINDS.items()} == {
        "view": 0,
        "click": 1,
        "add_to_cart": 2,
        "purchase": 3,
        "refund": 4,
    }
    assert InteractionKind.ADD_TO_CART.event == "add_to_cart"
