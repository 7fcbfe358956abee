"""Events over HTTP: the short way and the framework's route answer, store and count alike."""

import gzip
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from models.errors import CapacityError, StoreError
from models.pseudonym import KEY_FILE
from service.measured import MeasuredApp
from service.routes.event_shortcut import EventShortcut
from service.stores.events import StoredEvent
from tests.unit.service.routes.samples import Shop, open_client

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


class Got(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def _body(value: object) -> bytes:
    return json.dumps(value).encode()


ORDINARY = {
    "one": Sent(_body(VIEW)),
    "one with room behind": Sent(_body(VIEW) + b" \r\n"),
    "a click on a banner": Sent(_body(CLICK)),
    "several": Sent(_body([VIEW, CLICK, ORDER])),
    "one twice": Sent(_body([VIEW, VIEW])),
    "not ASCII": Sent(json.dumps(VIEW | {"user_id": "ä\u20ac"}, ensure_ascii=False).encode()),
    "a charset": Sent(_body(VIEW), (("content-type", "application/json; charset=utf-8"),)),
    "no content type": Sent(_body(VIEW), ()),
    "a crawler": Sent(_body(VIEW), (JSON, ("user-agent", "Googlebot/2.1"))),
    "two user agents": Sent(
        _body(VIEW), (("user-agent", "Mozilla"), ("user-agent", "Googlebot/2.1"))
    ),
    "no consent": Sent(_body(VIEW | {"consent": False})),
    "late": Sent(_body(VIEW | {"timestamp": 1_000})),
    "every field": Sent(
        _body(
            ORDER
            | {"timestamp": "2026-01-14T10:00:00+02:00", "user_id": "u", "anonymous_id": "a"}
            | {"session_id": "s", "country": "DE", "channel": "web", "platform": "ios"}
            | {"exposure_id": "e", "preview": True, "user_agent": "x", "schema_version": 1}
            | {"quantity": 2}
        )
    ),
    "an admin's key": Sent(_body(VIEW), key="admin"),
    "gzip said and not done": Sent(_body(VIEW), (JSON, ("content-encoding", "gzip"))),
}

ODD = {
    "room in front": Sent(b" " + _body(VIEW)),
    "a mark of the byte order": Sent(b"\xef\xbb\xbf" + _body(VIEW)),
    "as text": Sent(_body(VIEW), (("content-type", "text/plain"),)),
    "as a form": Sent(_body(VIEW), (("content-type", "application/x-www-form-urlencoded"),)),
    "as parts": Sent(_body(VIEW), (("content-type", "multipart/form-data; boundary=x"),)),
    "a form that is JSON": Sent(b"a=b", (("content-type", "application/x-www-form-urlencoded"),)),
    "packed": Sent(gzip.compress(_body([VIEW, CLICK])), (JSON, ("content-encoding", "gzip"))),
    "packed and cut": Sent(gzip.compress(_body(VIEW))[:-5]),
    "lines": Sent(_body(VIEW) + b"\n" + _body(CLICK)),
    "lines, one of them wrong": Sent(_body(VIEW) + b"\n" + _body(WRONG)),
    "a wrong one": Sent(_body(WRONG)),
    "a wrong one among right ones": Sent(_body([VIEW, WRONG, CLICK])),
    "an unknown field": Sent(_body(VIEW | {"colour": "red"})),
    "an unknown field among right ones": Sent(_body([VIEW, CLICK | {"colour": "red"}])),
    "an unknown event": Sent(_body(VIEW | {"event": "look"})),
    "no item": Sent(_body({"event": "view", "event_id": "v"})),
    "a NUL": Sent(_body(VIEW | {"item_id": "a\0b"})),
    "an id of too many bytes": Sent(_body(VIEW | {"user_id": "ä" * 200})),
    "an hour without an offset": Sent(_body(VIEW | {"timestamp": "2026-01-01T00:00:00"})),
    "a year too far": Sent(_body(VIEW | {"timestamp": 10**15})),
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
    "too long by its head": Sent((_body(VIEW),), (JSON, ("content-length", "9000000"))),
    "no key": Sent(_body(VIEW), key=None),
    "an unknown key": Sent(_body(VIEW), (JSON, ("x-api-key", "nobody")), key=None),
    "a key in the query": Sent(_body(VIEW), query="key=nobody", key=None),
    "a parameter": Sent(_body(VIEW), query="a=b"),
    "in pieces": Sent((b'{"event":"view",', _body(VIEW)[1:])),
    "in pieces that hold more": Sent((b"[", _body(VIEW), b",", _body(CLICK), b"]")),
    "left in the middle": Sent((b'{"event":',)),
    "another origin": Sent(_body(VIEW), (JSON, ("origin", SITE))),
    "an origin that may not": Sent(_body(VIEW), (JSON, ("origin", "https://evil.example"))),
    "asked before": Sent(
        b"", (("origin", SITE), ("access-control-request-method", "POST")), "OPTIONS", key=None
    ),
    "options": Sent(b"", (), "OPTIONS", key=None),
    "head": Sent(b"", (), "HEAD"),
    "get": Sent(b"", (), "GET"),
    "put": Sent(_body(VIEW), (JSON,), "PUT"),
    "a slash behind": Sent(_body(VIEW), path="/v1/events/"),
    "a cloud event": Sent(
        _body({"specversion": "1.0", "type": "x.view", "source": "s", "id": "1", "data": VIEW}),
        (("content-type", "application/cloudevents+json"),),
    ),
    "a cloud event by its headers": Sent(
        _body({"item_id": "p1"}),
        tuple(
            {"ce-specversion": "1.0", "ce-type": "x.view", "ce-source": "s", "ce-id": "1"}.items()
        ),
    ),
}


class Sides(NamedTuple):
    """An app with the short way, and one without."""

    short: Shop
    long: Shop


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Open both under one pseudonym key."""
    homes = [tmp_path_factory.mktemp(name) for name in ("short", "long")]
    for home in homes:
        (home / KEY_FILE).write_text("ab" * 32)
    first, second = (open_client(home, cors_origins=(SITE,)) for home in homes)
    with first, second:
        opened = Sides(Shop(first), Shop(second))
        assert isinstance(opened.long.client.app, MeasuredApp)
        del opened.long.client.app._short_ways[EventShortcut.path]
        yield opened


def _send(shop: Shop, sent: Sent) -> Got:
    """Hand a request to the app as a server would; a body in pieces may end too early."""
    headers = list(sent.headers)
    if sent.key is not None:
        headers.append(("x-api-key", shop.keys[sent.key]))
    pieces = [sent.body] if isinstance(sent.body, bytes) else list(sent.body)
    if isinstance(sent.body, bytes):
        headers.append(("content-length", str(len(sent.body))))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": sent.method,
        "scheme": "http",
        "path": sent.path,
        "raw_path": sent.path.encode(),
        "root_path": "",
        "query_string": sent.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    is_cut = len(pieces) == 1 and not isinstance(sent.body, bytes)
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": i + 1 < len(pieces) or is_cut}
        for i, piece in enumerate(pieces)
    ]
    answers: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answers.append(message)

    shop.client.blocking_portal.call(shop.client.app, scope, receive, send)
    if not answers:  # whoever left is not answered
        return Got(0, {}, b"")
    told = {name.decode().lower(): value.decode() for name, value in answers[0]["headers"]}
    body = b"".join(one.get("body", b"") for one in answers[1:])
    return Got(answers[0]["status"], told, body)


def _new_rows(shop: Shop) -> list[tuple[object, ...]]:
    """Return what was stored since the last call, and forget it."""
    with sqlite3.connect(shop.services.settings.home / "events.sqlite") as connection:
        rows = connection.execute(
            f"SELECT {', '.join(StoredEvent._fields)} FROM events ORDER BY seq"
        ).fetchall()
        connection.execute("DELETE FROM events")
    connection.close()
    return rows


def _counts(shop: Shop) -> dict[str, float]:
    lines = shop.call("GET", "/metrics").text.splitlines()
    found = (line.rpartition(" ") for line in lines if line.startswith("endcap_"))
    wanted = ("endcap_events_", "endcap_request_seconds_count")
    return {
        name: float(value)
        for name, _, value in found
        if name.startswith(wanted) and "_created" not in name and "/metrics" not in name
    }


@pytest.mark.parametrize("name", [*ORDINARY, *ODD])
def test_both_ways_are_the_same(sides: Sides, name: str) -> None:
    """Status, headers, body, what is stored and what is counted."""
    sent = {**ORDINARY, **ODD}[name]
    short, long = _send(sides.short, sent), _send(sides.long, sent)
    assert short == long
    assert short.status < 500 or name == "left in the middle"  # who left reads no answer
    assert _new_rows(sides.short) == _new_rows(sides.long)
    assert _counts(sides.short) == _counts(sides.long)
    if name in ORDINARY:
        assert short.status == 202
        assert json.loads(short.body)["rejected"] == 0


@pytest.mark.parametrize("name", [*ORDINARY, *ODD])
def test_only_the_ordinary_takes_the_short_way(
    sides: Sides, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not ordinary is left alone until the framework has heard it."""
    taken: list[bool] = []
    take = EventShortcut.take

    async def noting(self: EventShortcut, *args: Any) -> Any:
        left = await take(self, *args)
        taken.append(left is None)
        return left

    monkeypatch.setattr(EventShortcut, "take", noting)
    _send(sides.short, {**ORDINARY, **ODD}[name])
    assert (True in taken) is (name in ORDINARY)


def test_second_time_is_a_duplicate(tmp_path: Path) -> None:
    """Told apart within one body and from one request to the next."""
    with open_client(tmp_path) as client:
        shop = Shop(client)
        told = [json.loads(_send(shop, Sent(_body([VIEW, CLICK, VIEW]))).body) for _ in range(2)]
    statuses = [[one["status"] for one in each["events"]] for each in told]
    assert statuses == [["accepted", "accepted", "duplicate"], ["duplicate"] * 3]
    assert [each["accepted"] for each in told] == [2, 0]
    assert [each["duplicate"] for each in told] == [1, 3]


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (CapacityError("9 events wait"), 429, "capacity"),
        (StoreError("the disk is gone"), 503, "store"),
        (ValueError("a mistake of ours"), 500, "internal"),
    ],
)
def test_what_was_not_stored_is_tried_once(
    tmp_path: Path,
    failure: Exception,
    status: int,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal of the store is the framework's answer, without storing the events again."""
    n_tries = 0

    async def refuse(self: object, events: object, **counts: int) -> list[bool]:
        nonlocal n_tries
        n_tries += 1
        raise failure

    with open_client(tmp_path) as client:
        shop = Shop(client)
        monkeypatch.setattr(type(shop.services.intake.events), "submit", refuse)
        answer = _send(shop, Sent(_body(VIEW)))
    assert (answer.status, n_tries) == (status, 1)
    assert json.loads(answer.body)["code"] == code
    assert ("retry-after" in answer.headers) is (status in (429, 503))
