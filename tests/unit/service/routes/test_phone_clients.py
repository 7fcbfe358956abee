"""Segment's libraries for phones: what analytics-kotlin, -swift and -react-native send and read.

Each is as the library's source writes it: address, headers, the order of the fields, how the body
is packed. Where the answer steers the library, the test holds it to what the source does with it.
"""

import gzip
import json
import sqlite3
from typing import Any, NamedTuple

import httpx
import pytest

from models.errors import CapacityError, StoreError
from service.stores.event_schema import KIND_NAMES
from tests.unit.service.routes.samples import NOW_MS, Shop

# The phone's clock is a year ahead: the order was made 20 s before it is sent.
SENT_AT = "2027-01-15T00:00:20.250Z"
HAPPENED = "2027-01-15T00:00:00.250Z"
PRODUCT = {"product_id": "mug", "price": 6.5, "quantity": 2}


class Phone(NamedTuple):
    """What a library sends beside its events, and what it names itself."""

    headers: dict[str, str]
    context: dict[str, Any]
    platform: str
    is_packed: bool = False
    has_spaces: bool = False
    """Swift writes the start and the end of a batch by hand."""


PHONES = {
    "kotlin": Phone(
        {
            "content-type": "text/plain",
            "content-encoding": "gzip",
            "user-agent": "analytics-kotlin/1.19.2",
            "accept-encoding": "gzip",
        },
        {
            "library": {"name": "analytics-kotlin", "version": "1.19.2"},
            "instanceId": "8f9c",
            "app": {"name": "Shop", "version": "1.0", "namespace": "com.example", "build": "1"},
            "device": {"id": "d", "manufacturer": "Google", "model": "Pixel 8", "type": "android"},
            "os": {"name": "Android", "version": "14"},
            "screen": {"density": 2.625, "height": 2205, "width": 1080},
            "network": {"wifi": True, "bluetooth": False, "cellular": False},
            "locale": "de-DE",
            "userAgent": "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UD1A.231105.004)",
            "timezone": "Europe/Berlin",
        },
        "android",
        is_packed=True,
    ),
    "swift": Phone(
        {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "analytics-ios/1.9.1",
            "accept-encoding": "gzip",
        },
        {
            "library": {"name": "analytics-swift", "version": "1.9.1"},
            "os": {"name": "iOS", "version": "17.5"},
            "userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148",
            "locale": "de-DE",
        },
        "ios",
        has_spaces=True,
    ),
    "react-native": Phone(
        {"content-type": "application/json; charset=utf-8", "user-agent": "okhttp/4.9.2"},
        {
            "library": {"name": "@segment/analytics-react-native", "version": "2.21.3"},
            "os": {"name": "Android", "version": "14"},
            "network": {"cellular": False, "wifi": True},
        },
        "android",
    ),
}


@pytest.fixture(params=PHONES)
def phone(request: pytest.FixtureRequest) -> Phone:
    """Give each library in turn."""
    return PHONES[request.param]


def message(phone: Phone, kind: str, message_id: str, **fields: Any) -> dict[str, Any]:
    """Write a call as the library stores it, with what it adds for Segment's own use."""
    return {
        "type": kind,
        "messageId": message_id,
        "anonymousId": "a1",
        "integrations": {},
        "context": phone.context,
        "timestamp": HAPPENED,
        "_metadata": {"bundled": [], "unbundled": [], "bundledIds": []},
        **fields,
    }


def visit(phone: Phone) -> list[dict[str, Any]]:
    """Write what a library makes of an app that is opened, a login and an order."""
    order = {"order_id": "1001", "products": [PRODUCT]}
    return [
        message(phone, "track", "m1", event="Application Opened", properties={"build": "1"}),
        message(phone, "screen", "m2", name="Home", properties={}),
        message(phone, "identify", "m3", userId="u1", traits={"plan": "gold"}),
        message(phone, "track", "m4", userId="u1", event="Order Completed", properties=order),
    ]


def upload(
    shop: Shop, phone: Phone, messages: list[dict[str, Any]], **headers: str
) -> httpx.Response:
    """Send a batch to the address that the settings name, without a header that has the key."""
    batch, key = json.dumps(messages), shop.keys["publishable"]
    tail = f'"sentAt":"{SENT_AT}","writeKey":"{key}"}}'
    body = f'{{"batch":{batch},{tail}'
    if phone.has_spaces:
        body = f'{{ "batch": [\n{batch[1:-1]}\n],{tail}\n'
    packed = gzip.compress(body.encode()) if phone.is_packed else body.encode()
    sent = {**phone.headers, **headers}
    return shop.call("POST", "/v1/b", scope=None, content=packed, headers=sent)


def test_visit_on_a_phone_is_stored_once(shop: Shop, phone: Phone) -> None:
    """A batch that is sent again after a broken line is known; anything below 300 removes it."""
    first = upload(shop, phone, visit(phone))
    again = upload(shop, phone, visit(phone), **{"x-retry-count": "1"})
    assert [one.status_code for one in (first, again)] == [200, 200]
    assert [one.json()[name] for one, name in ((first, "accepted"), (again, "duplicate"))] == [1, 1]
    with sqlite3.connect(shop.services.settings.home / "events.sqlite") as connection:
        columns = "event_id, kind, item_id, quantity, price, order_id, platform, at_ms, flags"
        (row,) = connection.execute(f"SELECT {columns} FROM events")
    event_id, kind, *rest = row
    assert (event_id, KIND_NAMES[kind]) == ("m4.0", "purchase")
    # By the clock of the phone 20 s ago, so 20 s ago; from nobody's robot.
    assert rest == ["mug", 2.0, 6.5, "1001", phone.platform, NOW_MS - 20_000, 0]


def test_settings_are_what_a_phone_reads(shop: Shop, phone: Phone) -> None:
    """Status 200 exactly, every part an object, and a host without a scheme that ends in /v1.

    Kotlin decodes `integrations`, `plan`, `edgeFunction`, `middlewareSettings` and `metrics` as
    objects and fails for anything else; all three send to `https://HOST/b`.
    """
    path = f"/v1/projects/{shop.keys['publishable']}/settings"
    headers = {**phone.headers, "host": "endcap.example", "x-forwarded-proto": "https"}
    answer = shop.call("GET", path, scope=None, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    found = answer.json()
    assert all(isinstance(part, dict) for part in found.values())
    assert found["integrations"]["Segment.io"]["apiHost"] == "endcap.example/v1"
    assert found["integrations"]["Segment.io"]["apiKey"] == shop.keys["publishable"]
    # Metrics of the library itself would go to Segment.
    assert found["metrics"]["sampleRate"] == 0


@pytest.mark.parametrize(
    ("failure", "status"), [(CapacityError("9 events wait"), 429), (StoreError("disk"), 503)]
)
def test_phone_keeps_what_could_not_be_stored(
    shop: Shop, failure: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries keep a batch for 429 and 503, and read whole seconds of `retry-after`.

    Kotlin looks the header up by its name in small letters, in a map that knows no others.
    """

    async def refuse(self: object, events: object, **counts: int) -> list[bool]:
        raise failure

    monkeypatch.setattr(type(shop.services.intake.events), "submit", refuse)
    answer = upload(shop, PHONES["kotlin"], visit(PHONES["kotlin"]))
    assert answer.status_code == status
    waits = [value for name, value in answer.headers.raw if name == b"retry-after"]
    assert [int(value) for value in waits] == [1]


def test_phone_drops_what_will_never_be_stored(shop: Shop, phone: Phone) -> None:
    """One wrong call spoils no batch; a batch of nothing else, or of no key, is one for 4xx."""
    wrong = message(phone, "track", "m5", event="Product Added", properties={})
    mixed = upload(shop, phone, [wrong, *visit(phone)])
    assert (mixed.status_code, mixed.json()["rejected"], mixed.json()["accepted"]) == (200, 1, 1)
    assert upload(shop, phone, [wrong]).status_code == 400
    shop.keys["publishable"] = "endcap_publishable_unknown"
    assert upload(shop, phone, visit(phone)).status_code == 401


def test_key_is_looked_for_without_reading_the_rest(shop: Shop) -> None:
    """A body without one is refused for that, whatever it would cost to make something of it."""
    for rest in (b"[" * 100_000, b'{"a":' * 50_000):
        answer = shop.call("POST", "/v1/b", scope=None, content=b'{"batch":' + rest)
        assert answer.status_code == 401, answer.text
    key = shop.keys["publishable"].encode()
    known = b'{"batch":[],"a":"\\ud83d","writeKey":"' + key + b'"}'
    assert shop.call("POST", "/v1/b", scope=None, content=known).status_code == 200
