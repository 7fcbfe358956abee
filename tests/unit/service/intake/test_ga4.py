"""Events of GA4's Measurement Protocol become events of ours."""

from typing import Any

import msgspec
import pytest

from models.errors import InputError
from models.events import AddToCart, Click, ExposureEvent, View
from service.intake.body import BodySizeError, WrongEvent
from service.intake.ga4 import read_ga4
from service.intake.messages import Sorted

NOW_MS = 1_768_435_200_000
KEY = b"k" * 32
MICROS = NOW_MS * 1000 - 5_000_000


def collect(name: str, received_ms: int = NOW_MS, **params: Any) -> Sorted:
    event = {"name": name, "params": params}
    body = {"client_id": "c.1", "timestamp_micros": MICROS, "events": [event]}
    return read_ga4(msgspec.json.encode(body), received_ms, key=KEY)


def event(name: str, **params: Any) -> Any:
    (arrival,) = collect(name, event_id="e1", **params).arrivals
    return arrival.event


def test_ecommerce_event_is_one_event_an_item() -> None:
    """Items keep their price and quantity; the time is in microseconds."""
    when: dict[str, Any] = {"anonymous_id": "c.1", "timestamp": NOW_MS - 5_000}
    assert event("view_item", items=[{"item_id": "p1", "price": 3}]) == View(
        event_id="e1.0", item_id="p1", **when
    )
    assert event("add_to_cart", items=[{"item_id": "p1", "quantity": 2, "price": 3}]) == AddToCart(
        event_id="e1.0", item_id="p1", quantity=2, price=3, **when
    )
    assert event("select_promotion", items=[{"promotion_id": "b1"}]) == Click(
        event_id="e1", banner_id="b1", **when
    )
    assert event("view_item_list", exposure_id="x1") == ExposureEvent(
        event_id="e1", exposure_id="x1", grade="rendered", **when
    )


@pytest.mark.parametrize("micros", ["9" * 5_000, "soon", 1.5e30])
def test_time_that_is_none_is_a_mistake(micros: Any) -> None:
    """It spoils its own event only, and is told under GA4's name."""
    view = {"name": "view_item", "params": {"items": [{"item_id": "p1"}]}}
    body = {"client_id": "c.1", "events": [{**view, "timestamp_micros": micros}, view]}
    wrong, right = read_ga4(msgspec.json.encode(body), NOW_MS, key=KEY).arrivals
    assert isinstance(wrong.event, WrongEvent)
    assert wrong.event.path == "$.events[0].timestamp_micros"
    assert isinstance(right.event, View)


@pytest.mark.parametrize("micros", [NOW_MS // 1000, str(NOW_MS), NOW_MS * 1_000_000, -MICROS])
def test_time_in_another_unit_is_told_in_the_senders_words(micros: Any) -> None:
    """Seconds, milliseconds and nanoseconds are refused by GA4's name, for GA4's unit."""
    view = {"name": "view_item", "params": {"items": [{"item_id": "p1"}]}}
    for body, path in (
        ({"events": [{**view, "timestamp_micros": micros}]}, "$.events[0].timestamp_micros"),
        ({"events": [view], "timestamp_micros": micros}, "$.timestamp_micros"),
    ):
        (arrival,) = read_ga4(msgspec.json.encode(body), NOW_MS, key=KEY).arrivals
        assert isinstance(arrival.event, WrongEvent)
        assert arrival.event.path == path
        assert arrival.event.message.startswith(f"{micros} is not of the years 1980 to 9999")
        assert "multiply seconds by 1000000" in arrival.event.message


def test_purchase_is_known_by_its_transaction() -> None:
    """The same order sent again, even at another time, is the same events."""
    items = [{"item_id": "p1"}, {"item_id": "p2"}]
    first = collect("purchase", transaction_id="T1", items=items)
    later = collect("purchase", NOW_MS + 1, transaction_id="T1", items=items, note="again")
    ids = [[event.event_id for _, event in found.arrivals] for found in (first, later)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_nobody_without_the_key_can_try_orders_and_clients() -> None:
    """Under another key the same purchase and view have other ids, consent or not."""
    view = {"name": "view_item", "params": {"items": [{"item_id": "p1"}]}}
    bought = {"name": "purchase", "params": {"transaction_id": "T1", "items": [{"item_id": "p1"}]}}
    body = {"client_id": "c.1", "consent": {"ad_personalization": "DENIED"}}
    packed = msgspec.json.encode({**body, "events": [view, bought]})
    ids, others = (
        {event.event_id for _, event in read_ga4(packed, NOW_MS, key=key).arrivals}
        for key in (KEY, b"other")
    )
    assert len(ids | others) == 4


def test_other_events_are_ignored_or_wrong() -> None:
    """An event of another kind is ignored; one without its items is a mistake at its place."""
    assert "no e-commerce event" in collect("scroll").ignored[0].reason
    assert "exposure_id" in collect("view_item_list").ignored[0].reason
    for params, path in (
        ({}, "params.items"),
        ({"items": [{}]}, "params.items[0].item_id"),
        ({"items": [{"item_id": "p", "price": "dear"}]}, "params.items[0].price"),
    ):
        (arrival,) = collect("purchase", **params).arrivals
        assert isinstance(arrival.event, WrongEvent)
        assert arrival.event.path == f"$.events[0].{path}"


NO: list[Any] = ["DENIED", "denied", "", "unspecified", False, 0, [], {"ads": True}]


@pytest.mark.parametrize(
    ("said", "consent"),
    [
        ({}, True),
        ({"consent": None}, True),
        *(({"consent": {"ad_personalization": yes}}, True) for yes in ("GRANTED", "granted", True)),
        *(({"consent": {"ad_user_data": "GRANTED", "ad_personalization": no}}, False) for no in NO),
        *(({"consent": no}, False) for no in [{}, {"ad_personalization": None}, *NO[:-1]]),
        ({"consent": "granted"}, True),
        ({"consent": {"ad_user_data": "GRANTED"}}, True),
        ({"consent": {"ad_user_data": "DENIED", "ad_personalization": None}}, False),
    ],
)
def test_consent_that_is_given_has_to_be_clear(said: dict[str, Any], consent: bool) -> None:
    """Personalisation decides, in any spelling; where nothing is said nothing was refused."""
    view = {"name": "view_item", "params": {"items": [{"item_id": "p1"}]}}
    found = read_ga4(
        msgspec.json.encode({"client_id": "c.1", "events": [view], **said}), NOW_MS, key=KEY
    )
    (arrival,) = found.arrivals
    assert isinstance(arrival.event, View)
    assert arrival.event.consent is consent


def test_long_id_is_copied_for_no_item() -> None:
    """Each item of its event is refused, under the beginning of the id."""
    found = collect("add_to_cart", event_id="e" * 300, items=[{"item_id": "p1"}, {}])
    ids = ["e" * 256 + ".0", "e" * 256 + ".1"]
    assert [arrival.event.event_id for arrival in found.arrivals] == ids
    assert all(isinstance(arrival.event, WrongEvent) for arrival in found.arrivals)


def test_what_a_body_says_for_all_of_it_has_a_limit() -> None:
    """It is looked at for each of thousands of events."""
    view = {"name": "view_item", "params": {"items": [{"item_id": "p1"}]}}
    body = {"client_id": "c.1", "events": [view], "consent": {"x" * 16_000: "GRANTED"}}
    assert len(read_ga4(msgspec.json.encode(body), NOW_MS, key=KEY).arrivals) == 1
    body["consent"] = {"x" * 17_000: "GRANTED"}
    with pytest.raises(BodySizeError, match="beside 'events'"):
        read_ga4(msgspec.json.encode(body), NOW_MS, key=KEY)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"events": {}}', b"[]"])
def test_body_without_events_is_refused(body: bytes) -> None:
    """It says what to send."""
    with pytest.raises(InputError, match="send"):
        read_ga4(body, NOW_MS, key=KEY)
