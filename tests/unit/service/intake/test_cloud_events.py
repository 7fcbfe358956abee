"""CloudEvents: structured, in a batch, binary."""

import base64
from typing import Any

import msgspec
import pytest

from models.errors import InputError
from models.events import View
from service.intake.body import Arrival, WrongEvent
from service.intake.cloud_events import is_cloud_event, read_cloud_events

ENVELOPE = {
    "specversion": "1.0",
    "id": "1",
    "source": "/shop",
    "type": "com.example.endcap.view",
    "time": "2026-01-01T00:00:00Z",
}
DATA = {"item_id": "p1", "user_id": "u1"}
STRUCTURED = "application/cloudevents+json; charset=utf-8"
BATCH = "application/cloudevents-batch+json"


def read(value: Any, content_type: str, **headers: str) -> list[Arrival]:
    named = {"content-type": content_type, **headers}
    assert is_cloud_event(named)
    return read_cloud_events(msgspec.json.encode(value), named)


def is_the_view(event: Any) -> bool:
    return isinstance(event, View) and (event.event_id, event.item_id) == ("/shop#1", "p1")


def test_each_mode_gives_the_same_event() -> None:
    """What the data leaves out comes from the envelope, in headers or beside the data."""
    packed = base64.b64encode(msgspec.json.encode(DATA)).decode()
    headers = {f"ce-{name}": value.replace("/", "%2F") for name, value in ENVELOPE.items()}
    found = [
        *read({**ENVELOPE, "data": DATA}, STRUCTURED),
        *read({**ENVELOPE, "data_base64": packed}, STRUCTURED),
        *read([{**ENVELOPE, "data": DATA}], BATCH),
        *read(DATA, "application/json", **headers),
    ]
    assert all(is_the_view(event) for _, event in found)
    assert len({event for _, event in found}) == 1


def test_data_comes_before_the_envelope() -> None:
    """An event that says its own id and type keeps them."""
    (arrival,) = read({**ENVELOPE, "data": {**DATA, "event_id": "own"}}, STRUCTURED)
    assert isinstance(arrival.event, View)
    assert arrival.event.event_id == "own"


def test_long_source_still_makes_an_id() -> None:
    """Source and id are hashed where together they are too long."""
    (arrival,) = read({**ENVELOPE, "source": "s" * 300, "data": DATA}, STRUCTURED)
    assert isinstance(arrival.event, View)
    assert len(arrival.event.event_id) == 32


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"id": ""}, "$[0].id"),
        ({"source": None}, "$[0].source"),
        ({"specversion": "0.3"}, "$[0].specversion"),
        ({"data": None}, "$[0].data"),
        ({"data": {"item_id": 5}}, "$[0].data.item_id"),
        ({"type": "order.made"}, "$[0].data.event"),
        ({"time": "yesterday"}, "$[0].time"),
        ({"time": "2026-01-01T00:00:00"}, "$[0].time"),
        ({"time": 1_767_225_600}, "$[0].time"),
        ({"data": {**DATA, "timestamp": "yesterday"}}, "$[0].data.timestamp"),
    ],
)
def test_mistake_is_told_at_its_place(change: Any, path: str) -> None:
    """A wrong CloudEvent spoils no other of its batch."""
    wrong, right = read([{**ENVELOPE, "data": DATA, **change}, {**ENVELOPE, "data": DATA}], BATCH)
    assert isinstance(wrong.event, WrongEvent)
    assert wrong.event.path == path
    assert is_the_view(right.event)


def test_body_that_is_no_batch_is_refused() -> None:
    """The content type promised an array."""
    with pytest.raises(InputError, match="no array"):
        read(ENVELOPE, BATCH)
    with pytest.raises(InputError, match="not JSON"):
        read_cloud_events(b"{", {"content-type": STRUCTURED})


@pytest.mark.parametrize("value", ["%ff", "a%c3", "%C3é"])
def test_header_that_is_no_utf8_is_refused(value: str) -> None:
    """Else different events would have one id, and only the first would be kept."""
    headers = {f"ce-{name}": said for name, said in ENVELOPE.items()}
    with pytest.raises(InputError, match="header ce-id is not valid UTF-8"):
        read(DATA, "application/json", **{**headers, "ce-id": value})


def test_time_without_an_offset_is_told_by_its_name() -> None:
    """Under the id of the event; a `timestamp` of the data is told where it stands, later."""
    local = "2026-01-01T00:00:00"
    (arrival,) = read({**ENVELOPE, "time": local, "data": {**DATA, "event_id": "own"}}, STRUCTURED)
    assert arrival.event == WrongEvent(
        "own",
        "$.time",
        f"time '{local}' says no offset from UTC; write {local}Z, or send epoch milliseconds",
    )
    (arrival,) = read({**ENVELOPE, "data": {**DATA, "timestamp": local}}, STRUCTURED)
    assert isinstance(arrival.event, View)
