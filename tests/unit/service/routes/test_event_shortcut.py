"""Events over HTTP: the short way and the framework's route answer, store and count alike."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from models.errors import CapacityError, StoreError
from models.pseudonym import KEY_FILE
from service.measured import MeasuredApp
from service.protocol.known_heads import Request
from service.routes.event_shortcut import EventShortcut
from service.stores.events import StoredEvent
from tests.unit.service.routes.event_requests import (
    CLICK,
    ODD,
    ORDINARY,
    SITE,
    VIEW,
    Sent,
    body_of,
)
from tests.unit.service.routes.samples import Shop, open_client


class Got(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes


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


def _begin(shop: Shop, sent: Sent) -> Got | None:
    """Hand a whole request to the app as `EventProtocol` does; nothing if it is not taken in."""
    assert isinstance(sent.body, bytes)
    app: Any = shop.client.app
    headers = list(sent.headers)
    if sent.key is not None:
        headers.append(("x-api-key", shop.keys[sent.key]))
    sender = app.read_sender([(name.encode(), value.encode()) for name, value in headers])
    query = f"?{sent.query}" if sent.query else ""
    target = (sent.path + query).encode()
    request = Request(sent.method.encode(), target, sender, sent.body)

    async def begin() -> Any:
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        is_taken = app.begin_events(request, lambda *said: told.set_result(said))
        assert app.knows_events(request) or not is_taken
        return await told if is_taken else None

    said = shop.client.blocking_portal.call(begin)
    if said is None:
        return None
    (lines, body), failure = said
    assert failure is None
    told = dict(line.split(": ") for line in lines.decode().splitlines())
    return Got(202, told, body)


@pytest.mark.parametrize("name", ORDINARY)
def test_way_without_a_task_is_the_same(sides: Sides, name: str) -> None:
    """Status, headers, body, what is stored and what is counted."""
    begun, long = _begin(sides.short, ORDINARY[name]), _send(sides.long, ORDINARY[name])
    assert begun == long
    assert _new_rows(sides.short) == _new_rows(sides.long)
    assert _counts(sides.short) == _counts(sides.long)


WHOLE = [name for name, sent in ODD.items() if isinstance(sent.body, bytes)]


@pytest.mark.parametrize("name", [name for name in WHOLE if ODD[name].method == "POST"])
def test_only_the_ordinary_goes_without_a_task(sides: Sides, name: str) -> None:
    """Nothing is stored or counted of what is left to the others."""
    before = _counts(sides.short)
    assert _begin(sides.short, ODD[name]) is None
    assert _new_rows(sides.short) == []
    assert _counts(sides.short) == before


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
        told = [json.loads(_send(shop, Sent(body_of([VIEW, CLICK, VIEW]))).body) for _ in range(2)]
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
        answer = _send(shop, Sent(body_of(VIEW)))
    assert (answer.status, n_tries) == (status, 1)
    assert json.loads(answer.body)["code"] == code
    assert ("retry-after" in answer.headers) is (status in (429, 503))
