"""Calls of Segment's and RudderStack's libraries become events of ours."""

import json
from typing import Any

import msgspec
import pytest

from models.errors import InputError
from models.events import AddToCart, Click, ExposureEvent, Purchase, Refund, View
from service.intake.body import BodySizeError, WrongEvent
from service.intake.calls import _in_context, _shared, read_batch, read_call
from service.intake.identify import to_ms
from service.intake.messages import Known, Sorted

NOW_MS = 1_768_435_200_000
KEY = b"k" * 32


def batch(*messages: Any, **envelope: Any) -> Sorted:
    return read_batch(msgspec.json.encode({"batch": messages, **envelope}), NOW_MS, key=KEY)


def track(name: str, properties: Any = None, **fields: Any) -> dict[str, Any]:
    message = {"type": "track", "event": name, "messageId": "m1", "userId": "u1"}
    return {**message, "properties": properties or {}, **fields}


def events(*messages: Any) -> list[Any]:
    found = batch(*messages)
    assert not found.ignored
    return [event for _, event in found.arrivals]


@pytest.mark.parametrize(
    ("name", "properties", "expected"),
    [
        ("Product Viewed", {"product_id": "p1"}, View(event_id="m1", user_id="u1", item_id="p1")),
        ("Viewed Product", {"id": 7}, View(event_id="m1", user_id="u1", item_id="7")),
        (
            "product clicked",
            {"sku": "p1", "exposure_id": "x1"},
            Click(event_id="m1", user_id="u1", item_id="p1", exposure_id="x1"),
        ),
        (
            "Product Added",
            {"product_id": "p1", "quantity": "2", "price": 6.5},
            AddToCart(event_id="m1", user_id="u1", item_id="p1", quantity=2, price=6.5),
        ),
        (
            "Promotion Clicked",
            {"promotion_id": "b1", "exposure_id": "x1"},
            Click(event_id="m1", user_id="u1", banner_id="b1", exposure_id="x1"),
        ),
        (
            "Product List Viewed",
            {"exposure_id": "x1", "products": [{"product_id": "p1"}]},
            ExposureEvent(event_id="m1", user_id="u1", exposure_id="x1", grade="rendered"),
        ),
        (
            "Viewed Promotion",
            {"exposure_id": "x1", "grade": "viewable"},
            ExposureEvent(event_id="m1", user_id="u1", exposure_id="x1", grade="viewable"),
        ),
        (
            "Experiment Viewed",
            {"exposure_id": "x1", "variation_id": "big", "variation_name": "Big pictures"},
            ExposureEvent(
                event_id="m1", user_id="u1", exposure_id="x1", grade="rendered", variant="big"
            ),
        ),
    ],
)
def test_name_of_the_specification_is_an_event(name: str, properties: Any, expected: Any) -> None:
    """Names of either version, in any case, with any of the fields that hold an item's id."""
    assert events(track(name, properties)) == [expected]


def test_order_is_one_event_a_product() -> None:
    """Each line of an order has the message's id with its place, so a repeated order is known."""
    products = [{"product_id": "p1", "price": 5, "quantity": 2}, {"product_id": "p2"}]
    properties = {"order_id": "o1", "products": products}
    who: dict[str, Any] = {"user_id": "u1", "order_id": "o1"}
    assert events(track("Order Completed", properties)) == [
        Purchase(event_id="m1.0", item_id="p1", quantity=2, price=5, **who),
        Purchase(event_id="m1.1", item_id="p2", **who),
    ]
    assert events(track("Refunded Order", properties))[1] == Refund(
        event_id="m1.1", item_id="p2", **who
    )


def test_context_says_where_and_who() -> None:
    """Country, session, platform and browser stand in the context; an empty id is none."""
    context = {
        "sessionId": 17_684_352,
        "location": {"country": "AE"},
        "os": {"name": "iOS"},
        "userAgent": "Mozilla/5.0",
    }
    message = track("Product Viewed", {"product_id": "p1"}, context=context, channel="mobile")
    (event,) = events({**message, "userId": "", "anonymousId": "a1"})
    assert event == View(
        event_id="m1",
        item_id="p1",
        anonymous_id="a1",
        session_id="17684352",
        country="AE",
        channel="mobile",
        platform="ios",
        user_agent="Mozilla/5.0",
    )


NO: list[Any] = ["false", "DENIED", "", 0, "opt-out", [], {}, [True]]
NO_CATEGORY: list[Any] = [[False], {}, None, "no", {"ads": "denied"}, {"ads": 0}, {"ads": None}]
PROVIDER = {"provider": "oneTrust", "resolutionStrategy": "and"}
NOTHING_DENIED: list[dict[str, Any]] = [
    {"allowedConsentIds": ["C1", "C4"], "deniedConsentIds": []},
    {"allowedConsentIds": {"C1": "necessary", "C4": "ads"}},
    {"deniedConsentIds": []},
]
SOMETHING_DENIED: list[Any] = [
    {**PROVIDER, "allowedConsentIds": ["C1"], "deniedConsentIds": ["C4"]},
    {**PROVIDER, "resolutionStrategy": "or", "allowedConsentIds": ["C1"], "deniedConsentIds": "C4"},
    {"deniedConsentIds": {"C4": "ads"}},
    # Nobody has been asked yet, or it cannot be read.
    {**PROVIDER, "allowedConsentIds": [], "deniedConsentIds": []},
    {"deniedConsentIds": None},
    {},
    [],
    "granted",
]


@pytest.mark.parametrize(
    ("context", "consent"),
    [
        ({}, True),
        ({"consent": False}, False),
        ({"consent": {"categoryPreferences": {"ads": False, "product": False}}}, False),
        ({"consent": {"categoryPreferences": {"ads": True, "product": True}}}, True),
        # OneTrust's first category is what is strictly necessary, which nobody can refuse.
        ({"consent": {"categoryPreferences": {"C0001": True, "C0002": False}}}, False),
        ({"consent": None}, True),
        *(({"consent": yes}, True) for yes in (True, "true", "GRANTED", " Yes ", 1)),
        *(({"consent": no}, False) for no in NO),
        *(({"consent": {"categoryPreferences": no}}, False) for no in NO_CATEGORY),
        ({"consent": {"categoryPreferences": {"ads": "granted"}}}, True),
        *(({"consentManagement": {**PROVIDER, **yes}}, True) for yes in NOTHING_DENIED),
        *(({"consentManagement": no}, False) for no in SOMETHING_DENIED),
        ({"consentManagement": None}, True),
        ({"consent": False, "consentManagement": {"allowedConsentIds": ["C1"]}}, False),
        ({"consent": True, "consentManagement": {"deniedConsentIds": ["C4"]}}, False),
        ({"consent": True, "consentManagement": {"allowedConsentIds": ["C1"]}}, True),
    ],
)
def test_consent_is_read(context: Any, consent: bool) -> None:
    """It is denied by itself, or if one category is; in doubt it was not given."""
    (event,) = events(track("Product Viewed", {"product_id": "p1"}, context=context))
    assert event.consent is consent


@pytest.mark.parametrize("own", [{}, {"os": {"name": "iOS"}}, {"consent": None}, None, "x"])
def test_consent_of_the_envelope_holds_for_its_messages(own: Any) -> None:
    """A message whose own context says nothing of it was sent without consent too."""
    message = track("Product Viewed", {"product_id": "p1"}, context=own)
    (arrival,) = batch(message, context={"consent": False}).arrivals
    assert isinstance(arrival.event, View)
    assert not arrival.event.consent
    agreed = track("Product Viewed", {"product_id": "p1"}, context={"consent": True})
    (arrival,) = batch(agreed, context={"consent": False}).arrivals
    assert isinstance(arrival.event, View)
    assert arrival.event.consent


def test_context_of_the_envelope_is_read_where_a_message_says_nothing() -> None:
    """All that is read of a context may stand there; what is not read is not copied."""
    context = {
        "sessionId": "s1",
        "location": {"country": "AE"},
        "os": {"name": "iOS"},
        "userAgent": "Mozilla/5.0",
        "library": {"name": "x"},
        "consent": {"categoryPreferences": {"ads": True}},
    }
    message = track("Product Viewed", {"product_id": "p1"}, context={"os": {"name": "tvOS"}})
    (arrival,) = batch(message, context=context).arrivals
    assert arrival.event == View(
        event_id="m1",
        user_id="u1",
        item_id="p1",
        session_id="s1",
        country="AE",
        platform="tvos",
        user_agent="Mozilla/5.0",
    )
    assert set(_in_context(message, _shared(context))["context"]) == {*context} - {"library"}


def test_what_a_batch_says_for_all_of_it_has_a_limit() -> None:
    """Thousands of messages each look at it, so it may not be long; a message's own may."""
    message = track("Product Viewed", {"product_id": "p1"}, context={"x": "y" * 20_000})
    assert len(batch(message, context={"x": "y" * 16_000}).arrivals) == 1
    with pytest.raises(BodySizeError, match="beside 'batch'"):
        batch(message, context={"x": "y" * 17_000})


def test_long_id_is_copied_for_no_product() -> None:
    """Each product of its call is refused, under the beginning of the id."""
    products = [{"product_id": "p1"}, {}]
    properties = {"order_id": "o", "products": products}
    wrong = events(track("Order Completed", properties, messageId="m" * 300))
    assert [one.event_id for one in wrong] == ["m" * 256 + ".0", "m" * 256 + ".1"]
    assert wrong[0].path == "$.batch[0].messageId"


def test_wrong_clock_of_a_device_is_corrected() -> None:
    """What happened ten seconds before it was sent happened ten seconds before it arrived."""
    clock = {"originalTimestamp": "2031-01-01T00:00:00Z", "sentAt": "2031-01-01T00:00:10Z"}
    (event,) = events(track("Product Viewed", {"product_id": "p1"}, **clock))
    assert event.timestamp == NOW_MS - 10_000
    imported = {"timestamp": "2026-01-01T00:00:00Z", "sentAt": "2031-01-01T00:00:10Z"}
    (event,) = events(track("Product Viewed", {"product_id": "p1"}, **imported))
    assert to_ms(event.timestamp) == 1_767_225_600_000


def test_time_that_the_shop_gave_is_taken_as_it_is() -> None:
    """RudderStack's libraries add when they were called, which is not when an old order was."""
    called = {"originalTimestamp": "2026-01-15T00:00:00Z", "sentAt": "2026-01-15T00:00:10Z"}
    given = "2025-12-01T00:00:00Z"
    (event,) = events(track("Product Viewed", {"product_id": "p1"}, timestamp=given, **called))
    assert to_ms(event.timestamp) == 1_764_547_200_000


def test_time_in_a_form_that_is_none_is_a_mistake() -> None:
    """It is told where it stands; milliseconds with a fraction, as PHP writes them, are a time."""
    (event,) = events(track("Product Viewed", {"product_id": "p1"}, timestamp=NOW_MS + 0.25))
    assert event.timestamp == NOW_MS
    (wrong,) = events(track("Product Viewed", {"product_id": "p1"}, timestamp={"ms": NOW_MS}))
    assert isinstance(wrong, WrongEvent)
    assert wrong.path == "$.batch[0].timestamp"


def test_empty_list_of_products_says_nothing() -> None:
    """Such an event is of the item that it names itself, and a mistake if it names none."""
    (event,) = events(track("Product Added", {"product_id": "p1", "products": []}))
    assert event == AddToCart(event_id="m1", user_id="u1", item_id="p1")
    (wrong,) = events(track("Product Added", {"products": []}))
    assert isinstance(wrong, WrongEvent)
    assert wrong.path == "$.batch[0].properties.product_id"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"type": "page", "name": "Home"}, "names no item"),
        ({"type": "screen"}, "names no item"),
        ({"type": "group"}, "no groups"),
        ({"type": "alias"}, "never renames"),
        ({"type": "identify", "userId": "u1"}, "without userId and anonymousId"),
        (track("Signed Up"), "no event of the E-Commerce"),
        (track("Product List Viewed"), "without properties.exposure_id"),
        (track("Experiment Viewed", {"experiment_id": "e"}), "without properties.exposure_id"),
    ],
)
def test_what_says_nothing_is_ignored_with_its_reason(message: Any, reason: str) -> None:
    """It is neither an event nor a mistake."""
    found = batch(message)
    assert not found.arrivals
    assert reason in found.ignored[0].reason


def test_identify_tells_who_the_visitor_is() -> None:
    """Both ids are handed on, unless consent is denied."""
    both = {"type": "identify", "userId": "u1", "anonymousId": "a1"}
    assert batch(both).known == [Known("u1", "a1")]
    for no in (False, "false", {"categoryPreferences": [False]}):
        assert batch({**both, "context": {"consent": no}}).known == []
    denied = {"consentManagement": {"deniedConsentIds": ["C4"]}}
    assert batch({**both, "context": denied}).known == []


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (track("Product Viewed"), "$.batch[0].properties.product_id"),
        (
            track("Product Added", {"product_id": "p", "price": "dear"}),
            "$.batch[0].properties.price",
        ),
        (track("Order Completed", {"order_id": "o"}), "$.batch[0].properties.products"),
        (
            track("Order Completed", {"products": [{"product_id": "p", "quantity": -1}]}),
            "$.batch[0].properties.products[0].quantity",
        ),
        (
            track("Order Completed", {"products": ["p"]}),
            "$.batch[0].properties.products[0].product_id",
        ),
        (track("Promotion Clicked"), "$.batch[0].properties.promotion_id"),
        (track("Product Viewed", {"product_id": "p"}, userId="u" * 300), "$.batch[0].userId"),
        # What the types do not show.
        (track("Product Viewed", {"product_id": "p"}, userId="é" * 200), "$.batch[0].userId"),
        (
            track("Order Completed", {"products": [{"product_id": "p\0"}]}),
            "$.batch[0].properties.products[0].product_id",
        ),
        (
            track("Product Viewed", {"product_id": "p"}, timestamp="2026-01-01T00:00:00"),
            "$.batch[0].timestamp",
        ),
        (
            track("Product Viewed", {"product_id": "p"}, context={"os": {"name": "x\0"}}),
            "$.batch[0].context.os.name",
        ),
        ({"type": "track"}, "$.batch[0].event"),
        ({"type": "teleport"}, "$.batch[0].type"),
        ("hello", "$.batch[0]"),
    ],
)
def test_mistake_is_told_in_the_words_of_the_client(message: Any, path: str) -> None:
    """The path is where the client's author finds it."""
    (arrival,) = batch(message).arrivals
    assert isinstance(arrival.event, WrongEvent)
    assert arrival.event.path == path


def test_message_without_an_id_gets_one_of_its_content() -> None:
    """With a time the same message is the same event; without one the arrival tells them apart."""
    timed = {**track("Product Viewed", {"product_id": "p1"}), "timestamp": "2026-01-01T00:00:00Z"}
    del timed["messageId"]
    untimed = {name: value for name, value in timed.items() if name != "timestamp"}
    body = msgspec.json.encode({"batch": [timed, untimed]})
    first, later = (
        [event.event_id for _, event in read_batch(body, at, key=KEY).arrivals]
        for at in (NOW_MS, NOW_MS + 1)
    )
    assert first[0] == later[0]
    assert first[1] != later[1]


def test_nobody_without_the_key_can_try_who_said_it() -> None:
    """The id that a message gets tells nothing of its user, whose id is part of what it says."""
    message = {"type": "track", "event": "Product Viewed", "userId": "erika@example.org"}
    body = msgspec.json.encode({"batch": [{**message, "properties": {"product_id": "p1"}}]})
    ids = {
        event.event_id
        for key in (KEY, b"other", b"")
        for _, event in read_batch(body, NOW_MS, key=key).arrivals
    }
    assert len(ids) == 3


def test_call_has_the_type_of_its_path() -> None:
    """`/v1/track` needs no type in the body."""
    body = {"event": "Product Viewed", "messageId": "m1", "properties": {"product_id": "p1"}}
    (arrival,) = read_call(msgspec.json.encode(body), "track", NOW_MS, key=KEY).arrivals
    assert arrival.event == View(event_id="m1", item_id="p1")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"batch": 1}', b"\xff"])
def test_body_without_a_batch_is_refused(body: bytes) -> None:
    """It says what to send."""
    with pytest.raises(InputError, match="send"):
        read_batch(body, NOW_MS, key=KEY)


def test_name_that_was_cut_inside_a_character_spoils_nothing() -> None:
    """A client cut a name after half of an emoji: both messages are there, the text is mended."""
    messages = [track("Product Viewed", {"product_id": "p1", "name": "mug \ud83d"}), track("x")]
    found = read_batch(json.dumps({"batch": messages}).encode(), 5, key=KEY)
    assert [arrival.event for arrival in found.arrivals] == [
        View(event_id="m1", user_id="u1", item_id="p1")
    ]
    assert len(found.ignored) == 1
    with pytest.raises(InputError, match="not JSON"):
        read_batch(b'{"batch": [NaN, "\\ud83d"]}', 5, key=KEY)
