"""Requests with events, ordinary and odd ones, for the ways on which they can be taken in."""

import gzip
import json
from typing import NamedTuple

SITE = "https://shop.example"
JSON = ("content-type", "application/json")
VIEW = {"event": "view", "event_id": "v", "item_id": "p1", "user_id": "ann", "session_id": "s"}
CLICK = {"event": "click", "event_id": "c", "banner_id": "b", "anonymous_id": "a", "country": "GB"}
ORDER = {"event": "purchase", "event_id": "o", "item_id": "p2", "order_id": "7", "price": 9.5}
WRONG = {"event": "purchase", "event_id": "w", "item_id": "p2", "price": "dear"}


class Sent(NamedTuple):
    """A request as a server hands it on."""

    body: bytes | tuple[bytes, ...]
    """Whole, or in pieces."""
    headers: tuple[tuple[str, str], ...] = (JSON,)
    method: str = "POST"
    path: str = "/v1/events"
    query: str = ""
    key: str | None = "publishable"
    """The scope of the key that is sent."""


def body_of(value: object) -> bytes:
    """Write a body."""
    return json.dumps(value).encode()


ORDINARY = {
    "one": Sent(body_of(VIEW)),
    "one with room behind": Sent(body_of(VIEW) + b" \r\n"),
    "a click on a banner": Sent(body_of(CLICK)),
    "several": Sent(body_of([VIEW, CLICK, ORDER])),
    "one twice": Sent(body_of([VIEW, VIEW])),
    "not ASCII": Sent(json.dumps(VIEW | {"user_id": "ä\u20ac"}, ensure_ascii=False).encode()),
    "a charset": Sent(body_of(VIEW), (("content-type", "application/json; charset=utf-8"),)),
    "no content type": Sent(body_of(VIEW), ()),
    "a crawler": Sent(body_of(VIEW), (JSON, ("user-agent", "Googlebot/2.1"))),
    "two user agents": Sent(
        body_of(VIEW), (("user-agent", "Mozilla"), ("user-agent", "Googlebot/2.1"))
    ),
    "no consent": Sent(body_of(VIEW | {"consent": False})),
    "late": Sent(body_of(VIEW | {"timestamp": 1_000_000_000_000})),
    "every field": Sent(
        body_of(
            ORDER
            | {"timestamp": "2026-01-14T10:00:00+02:00", "user_id": "u", "anonymous_id": "a"}
            | {"session_id": "s", "country": "DE", "channel": "web", "platform": "ios"}
            | {"exposure_id": "e", "preview": True, "user_agent": "x", "schema_version": 1}
            | {"quantity": 2}
        )
    ),
    "an admin's key": Sent(body_of(VIEW), key="admin"),
    "gzip said and not done": Sent(body_of(VIEW), (JSON, ("content-encoding", "gzip"))),
}

ODD = {
    "room in front": Sent(b" " + body_of(VIEW)),
    "a mark of the byte order": Sent(b"\xef\xbb\xbf" + body_of(VIEW)),
    "as text": Sent(body_of(VIEW), (("content-type", "text/plain"),)),
    "as a form": Sent(body_of(VIEW), (("content-type", "application/x-www-form-urlencoded"),)),
    "as parts": Sent(body_of(VIEW), (("content-type", "multipart/form-data; boundary=x"),)),
    "a form that is JSON": Sent(b"a=b", (("content-type", "application/x-www-form-urlencoded"),)),
    "packed": Sent(gzip.compress(body_of([VIEW, CLICK])), (JSON, ("content-encoding", "gzip"))),
    "packed and cut": Sent(gzip.compress(body_of(VIEW))[:-5]),
    "lines": Sent(body_of(VIEW) + b"\n" + body_of(CLICK)),
    "lines, one of them wrong": Sent(body_of(VIEW) + b"\n" + body_of(WRONG)),
    "a wrong one": Sent(body_of(WRONG)),
    "a wrong one among right ones": Sent(body_of([VIEW, WRONG, CLICK])),
    "an unknown field": Sent(body_of(VIEW | {"colour": "red"})),
    "an unknown field among right ones": Sent(body_of([VIEW, CLICK | {"colour": "red"}])),
    "an unknown event": Sent(body_of(VIEW | {"event": "look"})),
    "no item": Sent(body_of({"event": "view", "event_id": "v"})),
    "a NUL": Sent(body_of(VIEW | {"item_id": "a\0b"})),
    "an id of too many bytes": Sent(body_of(VIEW | {"user_id": "ä" * 200})),
    "an hour without an offset": Sent(body_of(VIEW | {"timestamp": "2026-01-01T00:00:00"})),
    "a year too far": Sent(body_of(VIEW | {"timestamp": 10**15})),
    "seconds": Sent(body_of(VIEW | {"timestamp": 1_768_435_200})),
    "half a character": Sent(b'{"event":"view","event_id":"\\ud800","item_id":"p"}'),
    "no UTF-8": Sent(b'{"event":"view","event_id":"\xff","item_id":"p"}'),
    "nothing": Sent(b""),
    "an empty array": Sent(b"[]"),
    "an array of numbers": Sent(b"[1, 2]"),
    "a number": Sent(b"1"),
    "null": Sent(b"null"),
    "no JSON": Sent(b"{hello"),
    "too deep": Sent(b"[" * 3_000),
    "too long": Sent(b" " * 1_100_000),
    "too long by its head": Sent((body_of(VIEW),), (JSON, ("content-length", "9000000"))),
    "no key": Sent(body_of(VIEW), key=None),
    "an unknown key": Sent(body_of(VIEW), (JSON, ("x-api-key", "nobody")), key=None),
    "a key in the query": Sent(body_of(VIEW), query="key=nobody", key=None),
    "a parameter": Sent(body_of(VIEW), query="a=b"),
    "in pieces": Sent((b'{"event":"view",', body_of(VIEW)[1:])),
    "in pieces that hold more": Sent((b"[", body_of(VIEW), b",", body_of(CLICK), b"]")),
    "left in the middle": Sent((b'{"event":',)),
    "another origin": Sent(body_of(VIEW), (JSON, ("origin", SITE))),
    "an origin that may not": Sent(body_of(VIEW), (JSON, ("origin", "https://evil.example"))),
    "asked before": Sent(
        b"", (("origin", SITE), ("access-control-request-method", "POST")), "OPTIONS", key=None
    ),
    "options": Sent(b"", (), "OPTIONS", key=None),
    "head": Sent(b"", (), "HEAD"),
    "get": Sent(b"", (), "GET"),
    "put": Sent(body_of(VIEW), (JSON,), "PUT"),
    "a slash behind": Sent(body_of(VIEW), path="/v1/events/"),
    "a cloud event": Sent(
        body_of({"specversion": "1.0", "type": "x.view", "source": "s", "id": "1", "data": VIEW}),
        (("content-type", "application/cloudevents+json"),),
    ),
    "a cloud event by its headers": Sent(
        body_of({"item_id": "p1"}),
        tuple(
            {"ce-specversion": "1.0", "ce-type": "x.view", "ce-source": "s", "ce-id": "1"}.items()
        ),
    ),
}
