"""Where client libraries send to: keys, verdicts, exactly once."""

import asyncio
import base64
import gzip
import json
import sqlite3
from typing import Any

import httpx
import pytest

from service.stores.event_schema import EventFlag
from tests.unit.service.routes.samples import NOW_MS, Shop

ADDED = {
    "type": "track",
    "event": "Product Added",
    "messageId": "m1",
    "anonymousId": "a1",
    "properties": {"product_id": "p1", "price": 5},
}
ORDER = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "m2",
    "anonymousId": "a1",
    "properties": {"order_id": "o1", "products": [{"product_id": "p1"}, {"product_id": "p2"}]},
}
BATCH = {"batch": [ADDED, ORDER, {"type": "page", "messageId": "m3"}]}


def post(shop: Shop, path: str, body: Any, *, key: str | None = None, **options: Any) -> Any:
    headers = {"content-type": "text/plain", **options.pop("headers", {})}
    if key is not None:
        headers["authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer: httpx.Response = shop.call(
        "POST", path, scope=None, content=content, headers=headers, **options
    )
    return answer


def counts(answer: httpx.Response) -> tuple[int, ...]:
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return tuple(
        found.get(name, 0) for name in ("received", "accepted", "duplicate", "rejected", "ignored")
    )


def test_batch_is_stored_exactly_once(shop: Shop) -> None:
    """A retry of the same batch, gzipped and labelled as a form, is duplicates only."""
    key = shop.keys["publishable"]
    first = post(shop, "/v1/batch", BATCH, key=key)
    assert counts(first) == (3, 3, 0, 0, 1)
    assert [verdict["event_id"] for verdict in first.json()["events"]] == [
        "m1",
        "m2.0",
        "m2.1",
        "m3",
    ]
    headers = {"content-type": "application/x-www-form-urlencoded", "content-encoding": "gzip"}
    body = gzip.compress(json.dumps(BATCH).encode())
    again = post(shop, "/v1/batch", body, key=key, headers=headers)
    assert counts(again) == (3, 0, 3, 0, 1)
    assert "endcap_calls_ignored_total 2.0" in shop.call("GET", "/metrics").text


def test_each_call_has_its_path(shop: Shop) -> None:
    """A lone call needs no type in its body."""
    key = shop.keys["publishable"]
    assert counts(post(shop, "/v1/track", ADDED, key=key)) == (1, 1, 0, 0, 0)
    for call in ("page", "screen", "identify", "group", "alias"):
        assert counts(post(shop, f"/v1/{call}", {"userId": "u"}, key=key)) == (0, 0, 0, 0, 1)


def test_device_has_its_own_addresses(shop: Shop) -> None:
    """Segment's libraries for browsers and phones shorten a call to its first letter."""
    body = {"writeKey": shop.keys["publishable"], "userId": "u"}
    assert counts(post(shop, "/v1/t", {**body, **ADDED})) == (1, 1, 0, 0, 0)
    for call in "psiga":
        assert counts(post(shop, f"/v1/{call}", body)) == (0, 0, 0, 0, 1)
    packed = gzip.compress(json.dumps({**body, **BATCH}).encode())
    for path in ("/v1/b", "/v1/import", "/v1/import/"):
        received, *_, ignored = counts(post(shop, path, packed))
        assert (received, ignored) == (3, 1)


def test_clock_of_a_device_is_corrected_on_its_addresses(shop: Shop) -> None:
    """It sends ten seconds after the click, by a clock of five years ahead; a server imports."""
    clock = {"timestamp": "2031-01-01T00:00:00Z", "sentAt": "2031-01-01T00:00:10Z"}
    key = {"writeKey": shop.keys["publishable"]}
    post(shop, "/v1/t", {**key, **ADDED, **clock, "messageId": "one"})
    message = {**ADDED, "messageId": "batch", "timestamp": clock["timestamp"]}
    post(shop, "/v1/b", {**key, "batch": [message], "sentAt": clock["sentAt"]})
    message = {**message, "messageId": "server"}
    post(shop, "/v1/batch", {**key, "batch": [message], "sentAt": clock["sentAt"]})
    with sqlite3.connect(shop.services.settings.home / "events.sqlite") as connection:
        rows = dict(connection.execute("SELECT event_id, at_ms FROM events"))
    ahead_ms = 1_924_992_000_000
    assert rows == {"one": NOW_MS - 10_000, "batch": NOW_MS - 10_000, "server": ahead_ms}


def test_key_may_stand_in_the_body(shop: Shop) -> None:
    """Where no header has one; a wrong one, or a body that cannot be read, is 401."""
    good = {**ADDED, "writeKey": shop.keys["publishable"]}
    assert counts(post(shop, "/v1/track", good)) == (1, 1, 0, 0, 0)
    cut = json.dumps({**good, "messageId": "cut", "name": "mug \ud83d"}).encode()
    assert counts(post(shop, "/v1/track", cut)) == (1, 1, 0, 0, 0)
    bodies: list[Any] = [{**ADDED, "writeKey": "nope"}, {**ADDED, "writeKey": 7}, ADDED, b"[]"]
    for body in [*bodies, b"\x1f\x8b", b"hello", {**ADDED, "writeKey": ""}]:
        assert post(shop, "/v1/track", body).status_code == 401
    assert post(shop, "/v1/track", good, key="nope").status_code == 401
    # A key may be in there, and who sent it has to know to send less.
    assert post(shop, "/v1/track", gzip.compress(b" " * 2_000_000)).status_code == 413
    event = {"event": "view", "event_id": "e1", "item_id": "p1"}
    for path in ("/v1/events", "/mp/collect"):
        assert post(shop, path, {**event, "writeKey": good["writeKey"]}).status_code == 401


def test_settings_send_everything_here(shop: Shop) -> None:
    """Segment's library asks for them with the key in the address, also behind a proxy."""
    path = f"/v1/projects/{shop.keys['publishable']}/settings"
    headers = {"host": "endcap.shop.example", "x-forwarded-proto": "https"}
    found = shop.call("GET", path, scope=None, headers=headers).json()
    assert found["integrations"]["Segment.io"] == {
        "apiKey": shop.keys["publishable"],
        "apiHost": "endcap.shop.example/v1",
        "protocol": "https",
    }
    here = shop.call("GET", path, scope=None).json()["integrations"]["Segment.io"]
    assert here["protocol"] == "http"
    assert found["metrics"] == {"sampleRate": 0}
    assert shop.call("GET", "/v1/projects/nope/settings", scope=None).status_code == 401
    strong = f"/v1/projects/{shop.keys['admin']}/settings"
    assert shop.call("GET", strong, scope=None).status_code == 403


def test_beacon_has_its_key_in_the_address(shop: Shop) -> None:
    """Only a publishable one is taken there; a beacon cannot send a header."""
    path = "/beacon/v1/batch"
    good = post(shop, path, BATCH, params={"writeKey": shop.keys["publishable"]})
    assert counts(good) == (3, 3, 0, 0, 1)
    strong = post(shop, path, BATCH, params={"writeKey": shop.keys["merchandiser"]})
    assert (strong.status_code, strong.json()["code"]) == (403, "forbidden")
    assert "revoke" in strong.json()["detail"]
    assert post(shop, path, BATCH, params={"writeKey": "nope"}).status_code == 401
    assert post(shop, path, BATCH).status_code == 401
    assert post(shop, "/v1/batch", BATCH, params={"writeKey": "x"}).status_code == 401
    own = {"event": "view", "event_id": "e1", "item_id": "p1"}
    answer = post(shop, "/v1/events", own, params={"key": shop.keys["publishable"]})
    assert answer.status_code == 202


def test_ga4_sender_changes_only_its_host(shop: Shop) -> None:
    """The secret in the address is the key."""
    event = {"name": "view_item", "params": {"items": [{"item_id": "p1"}]}}
    body = {"client_id": "c1", "timestamp_micros": 1_768_435_200_000_000, "events": [event]}
    params = {"measurement_id": "G-1", "api_secret": shop.keys["publishable"]}
    assert counts(post(shop, "/mp/collect", body, params=params)) == (1, 1, 0, 0, 0)
    assert counts(post(shop, "/mp/collect", body, params=params)) == (1, 0, 1, 0, 0)


def test_ga4_sender_on_a_server_has_its_key_in_a_header(shop: Shop) -> None:
    """Its address may keep Google's secret; its orders are what was paid, as by any such key."""
    event = {"name": "view_item", "params": {"event_id": "e", "items": [{"item_id": "p1"}]}}
    address = {"measurement_id": "G-1", "api_secret": "google's"}
    headers = {"x-api-key": shop.keys["server"]}
    body = {"client_id": "c1", "events": [event]}
    assert post(shop, "/mp/collect", body, params=address).status_code == 401
    assert counts(post(shop, "/mp/collect", body, params=address, headers=headers))[1] == 1
    # As the user of the address, which clients send as Basic auth.
    assert counts(post(shop, "/mp/collect", body, key=shop.keys["server"]))[2] == 1
    with sqlite3.connect(shop.services.settings.home / "events.sqlite") as connection:
        rows = connection.execute("SELECT event_id, flags FROM events").fetchall()
    assert rows == [("e.0", EventFlag.BY_SERVER)]


def test_key_in_the_address_of_a_server_is_told_where_to_go(shop: Shop) -> None:
    """It is refused, also where a header has a good one, and the answer says what to do."""
    address = {"api_secret": shop.keys["server"]}
    for key in (None, shop.keys["server"]):
        refused = post(shop, "/mp/collect", {"events": []}, params=address, key=key)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        for step in ("endcap keys revoke", "X-API-Key: KEY", "publishable"):
            assert step in refused.json()["detail"]
        assert shop.keys["server"] not in refused.text


def test_password_of_a_proxy_takes_no_key_away(shop: Shop) -> None:
    """A browser sends it by itself, before the headers of the page's own script."""
    proxy = {"authorization": "Basic " + base64.b64encode(b"staff:password").decode()}
    key = shop.keys["publishable"]
    own = {"event": "view", "event_id": "e1", "item_id": "p1"}
    in_address = post(shop, "/v1/events", own, params={"key": key}, headers=proxy)
    in_header = post(shop, "/v1/events", own, headers={**proxy, "x-api-key": key})
    assert (in_address.status_code, in_header.status_code) == (202, 202)


def test_cloud_event_is_an_event(shop: Shop) -> None:
    """`/v1/events` tells one by its headers."""
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/shop",
        "ce-type": "endcap.view",
    }
    key = shop.keys["publishable"]
    answer = post(shop, "/v1/events", {"item_id": "p1"}, key=key, headers=headers)
    assert (answer.status_code, answer.json()["events"]) == (
        202,
        [{"event_id": "/shop#1", "status": "accepted"}],
    )


def test_only_wrong_calls_are_a_problem(shop: Shop) -> None:
    """Nothing right in the body is 400 with the places; an unread body too."""
    key = shop.keys["publishable"]
    wrong = {**ADDED, "properties": {}}
    answer = post(shop, "/v1/batch", {"batch": [wrong]}, key=key)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "$.batch[0].properties.product_id"
    bodies: list[Any] = [b"hello", b"", b"[" * 5_000, gzip.compress(b"{}")[:-4], {"batch": {}}]
    for body in bodies:
        assert post(shop, "/v1/batch", body, key=key).status_code == 400
    assert counts(post(shop, "/v1/batch", {"batch": [wrong, ADDED]}, key=key)) == (2, 1, 0, 1, 0)


def test_source_config_sends_everything_here(shop: Shop) -> None:
    """RudderStack's browser library asks for it with a trailing slash, and needs these fields."""
    path = f"/sourceConfig/?p=npm&v=3&writeKey={shop.keys['publishable']}"
    source = shop.call("GET", path, scope=None).json()["source"]
    assert (source["enabled"], source["destinations"]) == (True, [])
    assert shop.call("GET", "/sourceConfig/", scope=None).status_code == 401


def test_identify_keeps_the_arm_of_the_visitor(shop: Shop) -> None:
    """Whom a rollout has dealt as a visitor is dealt as that visitor after `identify`."""
    shop.call("PUT", "/v1/placements/home_recs", json={"kind": "items", "static_ids": ["p1"]})
    shop.call("PUT", "/v1/rollouts/home_recs", json={"share": 0.5})
    visit = {"placements": [{"id": "home_recs"}], "user": {"anonymous_id": "a1"}}
    shop.call("POST", "/v1/serve", json=visit)
    people, hide = shop.services.intake.people, shop.services.pseudonymiser.pseudonym
    keys = hide("user_id", "u1"), hide("anonymous_id", "a1")
    # The event is acknowledged after the exposure before it is on disk.
    post(shop, "/v1/track", ADDED, key=shop.keys["publishable"])
    both = {"userId": "u1", "anonymousId": "a1"}
    post(shop, "/v1/identify", both, key=shop.keys["publishable"])
    person = people.cached(*keys)
    assert person is not None
    assert person.unit is not None
    assert person.unit.kind == "anonymous_id"


def test_identify_calls_of_a_batch_wait_together(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is slow holds a batch up once for fifty visitors, and not once for each."""
    n_visitors, n_begun = 60, 0
    seen: list[int] = []

    async def settle(self: object, *keys_and_timeout: object) -> None:
        nonlocal n_begun
        n_begun += 1
        await asyncio.sleep(0)
        seen.append(n_begun)

    monkeypatch.setattr(type(shop.services.intake.people), "person", settle)
    calls = [
        {"type": "identify", "messageId": f"m{n}", "userId": f"u{n}", "anonymousId": f"a{n}"}
        for n in range(n_visitors)
    ]
    answer = post(shop, "/v1/batch", {"batch": calls}, key=shop.keys["publishable"])
    assert counts(answer) == (0, 0, 0, 0, n_visitors)
    assert seen == [50] * 50 + [60] * 10
