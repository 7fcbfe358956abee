"""Bodies of `POST /v1/events`: shapes, gzip, limits, and where a wrong field is said to be."""

import gzip
import json
import random
from collections.abc import Callable
from functools import partial

import pytest

from models.errors import InputError
from models.events import Purchase, View
from service.intake import body as body_module
from service.intake.body import BodySizeError, WrongEvent, read_events
from service.intake.calls import read_batch
from service.intake.cloud_events import read_cloud_events
from service.intake.ga4 import read_ga4

VIEW = {"event": "view", "event_id": "e1", "item_id": "p1"}
BOUGHT = {"event": "purchase", "event_id": "e2", "item_id": "p2", "price": 2.5}


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "body",
    [
        encode([VIEW, BOUGHT]),
        encode(VIEW) + b"\n" + encode(BOUGHT) + b"\n",
        encode(VIEW) + b"\r\n\r\n" + encode(BOUGHT),
        gzip.compress(encode([VIEW, BOUGHT])),
        gzip.compress(encode(VIEW) + b"\n") + gzip.compress(encode(BOUGHT)),
        b"\xef\xbb\xbf  " + encode([VIEW, BOUGHT]),
    ],
    ids=["array", "lines", "crlf", "gzip", "gzip members", "byte order mark"],
)
def test_body_shape_does_not_matter(body: bytes) -> None:
    """An array, JSON Lines and gzip of either give the same two events."""
    first, second = read_events(body)
    assert (first.path, second.path) == ("$[0]", "$[1]")
    assert isinstance(first.event, View)
    assert isinstance(second.event, Purchase)
    assert second.event.price == 2.5


def test_body_of_one_event_is_at_the_root() -> None:
    """A single object, pretty-printed or not, is one event whose path is the root."""
    (arrival,) = read_events(json.dumps(VIEW, indent=2).encode())
    assert arrival.path == "$"
    assert isinstance(arrival.event, View)


def test_wrong_event_spoils_no_other_and_names_its_field() -> None:
    """The second of three events is wrong: it names index and field, and the others are kept."""
    wrong = BOUGHT | {"price": "dear"}
    first, second, third = (a.event for a in read_events(encode([VIEW, wrong, BOUGHT])))
    assert isinstance(first, View)
    assert second == WrongEvent("e2", "$[1].price", "Expected `float | null`, got `str`")
    assert isinstance(third, Purchase)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"item_id": ""}, "$.item_id"),
        ({"item_id": "p" * 257}, "$.item_id"),
        ({"event_id": None}, "$.event_id"),
        ({"event": "bought"}, "$.event"),
        ({"colour": "red"}, "$"),
        ({"quantity": 0}, "$"),
    ],
)
def test_wrong_field_is_named(change: dict[str, object], path: str) -> None:
    """An id of 0 or 257 characters a missing id, an unknown kind or field is told."""
    (arrival,) = read_events(encode(VIEW | change))
    assert isinstance(arrival.event, WrongEvent)
    assert arrival.event.path == path


@pytest.mark.parametrize("form", [b"%s", b"[%s]", b"[%s, %s]", b"%s\n%s"])
def test_text_that_is_no_utf8_spoils_no_other_event(form: bytes) -> None:
    """An event with bytes that are no UTF-8 is wrong; its neighbour is kept."""
    bad = b'{"event": "view", "event_id": "e9", "item_id": "\xff"}'
    arrivals = read_events(form % ((bad, encode(VIEW))[: form.count(b"%s")]))
    assert isinstance(arrivals[0].event, WrongEvent)
    assert "not UTF-8" in arrivals[0].event.message
    assert all(isinstance(arrival.event, View) for arrival in arrivals[1:])


@pytest.mark.parametrize("half", ["\ud800", "\udc00\ud800"])
def test_half_a_character_spoils_no_other_event(half: str) -> None:
    """Half of a surrogate pair, which JSON can write and nobody can store, is one wrong event."""
    arrivals = read_events(encode([VIEW, VIEW | {"event_id": half}, BOUGHT]))
    assert [isinstance(each.event, WrongEvent) for each in arrivals] == [False, True, False]
    assert "surrogate" in str(arrivals[1].event)


def test_wrong_line_spoils_no_other() -> None:
    """A line that is cut off is one rejected event."""
    first, second = read_events(encode(VIEW) + b"\n" + encode(BOUGHT)[:-5])
    assert isinstance(first.event, View)
    assert isinstance(second.event, WrongEvent)


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"hello", b"hello\nworld", b'[{"event": "view"', b"\xff"]
)
def test_no_json_is_refused_as_a_whole(body: bytes) -> None:
    """What is no JSON has no events to tell verdicts about."""
    with pytest.raises(InputError, match="the body is not JSON"):
        read_events(body)


def test_size_is_limited_before_and_after_unpacking() -> None:
    """Neither a large body nor a small one that unpacks to a large one is read."""
    large = encode(VIEW) + b" " * 2_000
    packed = gzip.compress(large)
    assert len(packed) < 200
    for body in (large, packed):
        with pytest.raises(BodySizeError, match="more than 1000 bytes"):
            read_events(body, max_bytes=1_000)
    assert len(read_events(packed, max_bytes=len(large))) == 1


@pytest.mark.parametrize("form", ["[%s]", "%s"], ids=["array", "lines"])
@pytest.mark.parametrize("event", [b"0", encode(VIEW)], ids=["wrong", "right"])
def test_number_of_events_is_limited(
    form: str, event: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong ones of two bytes cost as much as right ones, so a body may not have more of them."""
    monkeypatch.setattr(body_module, "MAX_EVENTS", 3)
    between = "," if "[" in form else "\n"
    for n in (3, 4):
        sent = (form % between.join([event.decode()] * n)).encode()
        if n == 3:
            assert len(read_events(sent)) == 3
        else:
            with pytest.raises(BodySizeError, match="4 events, and at most 3 may come at once"):
                read_events(sent)


def _read_cloud_batch(body: bytes, _: int) -> object:
    return read_cloud_events(body, {"content-type": "application/cloudevents-batch+json"})


_FOUR = [0, 0, 0, 0]
_CLICKED = {"type": "track", "event": "Product Clicked", "properties": {"products": _FOUR}}
_BOUGHT = {"name": "purchase", "params": {"items": _FOUR}}


_read_named_batch = partial(read_batch, key=b"k")
_read_named_ga4 = partial(read_ga4, key=b"k")


@pytest.mark.parametrize(
    ("read", "sent"),
    [
        (_read_named_batch, {"batch": _FOUR}),
        (_read_named_batch, {"batch": [_CLICKED]}),
        (_read_named_batch, {"batch": [{"type": "track"}] * 4}),
        (_read_named_ga4, {"client_id": "c", "events": _FOUR}),
        (_read_named_ga4, {"client_id": "c", "events": [_BOUGHT]}),
        (_read_cloud_batch, _FOUR),
    ],
)
def test_number_of_events_is_limited_in_every_form(
    read: Callable[[bytes, int], object], sent: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls of client libraries, their products, and CloudEvents."""
    monkeypatch.setattr(body_module, "MAX_EVENTS", 3)
    with pytest.raises(BodySizeError, match="4 events"):
        read(encode(sent), 1)


def test_gzip_of_many_parts_is_read_in_pieces() -> None:
    """What is left after a part is never copied whole: a cut stands anywhere in a part."""
    texts = [encode(VIEW) + b"\n" for _ in range(300)]
    packed = b"".join(gzip.compress(text) + gzip.compress(b"") for text in texts)
    assert len(packed) > 5 * body_module._PIECE
    assert body_module.unpack(packed) == b"".join(texts).strip()
    alone = gzip.compress(random.Random(1).randbytes(3 * body_module._PIECE))
    assert len(body_module._gunzip(alone, 1_000_000)) == 3 * body_module._PIECE
    with pytest.raises(InputError, match="ends too early"):
        body_module.unpack(packed[:-5])


def test_broken_gzip_is_refused() -> None:
    """Gzip that ends early or is damaged is an error of the sender, not of ours."""
    packed = gzip.compress(encode([VIEW] * 50))
    with pytest.raises(InputError, match="ends too early"):
        read_events(packed[:-10])
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_events(packed[:4] + b"\xff" * 40)
