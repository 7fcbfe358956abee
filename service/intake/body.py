"""Turns the bytes of a request into events: one, a JSON array or JSON Lines, plain or gzipped.

The content type is not asked: clients that exist send JSON as text or as a form. Each event is
decoded for itself, so a wrong one names its field and spoils no other.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from models.errors import EndcapError, InputError
from models.events import Event

MAX_BODY_BYTES = 1_048_576
MAX_EVENTS = 10_000
"""In one body: a wrong one may have two bytes, and costs as much as a right one."""

# msgspec raises the second for bytes in a text that are no UTF-8.
_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError)
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 4_096
_decode_event = msgspec.json.Decoder(Event).decode
_decode_events = msgspec.json.Decoder(list[Event]).decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


class BodySizeError(InputError):
    """A body is larger than the limit, as it came or unpacked, or has too many events."""

    code = "body_too_large"


class WrongEvent(NamedTuple):
    """An event that is not stored, and what is wrong with it."""

    event_id: str | None
    path: str
    message: str


class Arrival(NamedTuple):
    """One event of a body, right or wrong, and where it stood: ``$[3]`` is the fourth."""

    path: str
    event: Event | WrongEvent


class _Named(msgspec.Struct):
    event_id: str | None = None


_decode_named = msgspec.json.Decoder(_Named).decode
_Many = TypeVar("_Many", bound=Sequence[object])


def read_events(body: bytes, max_bytes: int = MAX_BODY_BYTES) -> list[Arrival]:
    """Decode every event of a body.

    Raises
    ------
    BodySizeError
        If the body has more than `max_bytes`, as it came or unpacked, or than `MAX_EVENTS` events.
    InputError
        If it is no JSON, no intact gzip or holds no event.
    """
    body = unpack(body, max_bytes)
    if body.startswith(b"["):
        return _read_array(body)
    try:
        one = _decode_raw(body)
    except msgspec.DecodeError as error:
        return _read_lines(body, error)
    return [Arrival("$", _read_one(one, "$"))]


def at_most(events: _Many) -> _Many:
    """Return the events of a body, if they are not too many.

    Raises
    ------
    BodySizeError
        If they are.
    """
    if len(events) > MAX_EVENTS:
        raise BodySizeError(
            f"the body has {len(events)} events, and at most {MAX_EVENTS} may come at once; "
            "send fewer at a time"
        )
    return events


def unpack(body: bytes, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the text of a body, which is unpacked if it is gzip, whatever its label says.

    Raises
    ------
    BodySizeError
        If it has more than `max_bytes`, as it came or unpacked.
    InputError
        If it starts like gzip but is not intact.
    """
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    if body.startswith(_GZIP_MAGIC):
        body = _gunzip(body, max_bytes)
    return body.removeprefix(b"\xef\xbb\xbf").strip()


def _read_array(body: bytes) -> list[Arrival]:
    try:
        # Nearly always all events are right, and one call decodes them all.
        events = at_most(_decode_events(body))
        return [Arrival(f"$[{i}]", event) for i, event in enumerate(events)]
    except _UNDECODABLE:
        pass
    try:
        return _read_each(at_most(_decode_raws(body)))
    except msgspec.DecodeError as error:
        return _read_each(at_most(_with_half_characters(body, error)))


def _with_half_characters(body: bytes, error: msgspec.DecodeError) -> list[bytes]:
    """Take an array apart of which a text holds half of a surrogate pair, which is no character.

    JSON's grammar allows it and the decoder does not, not even to skip it. Written again, the event
    that holds it fails alone.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise _no_json(error) from error
    return [json.dumps(value).encode() for value in values]


def _read_lines(body: bytes, error: msgspec.DecodeError) -> list[Arrival]:
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) < 2:
        raise _no_json(error) from error
    arrivals = _read_each(at_most(lines))
    if not any(_is_json(line) for line in lines):
        raise _no_json(error) from error
    return arrivals


def _read_each(texts: Sequence[bytes | msgspec.Raw]) -> list[Arrival]:
    return [
        Arrival(path, _read_one(text, path))
        for path, text in ((f"$[{i}]", text) for i, text in enumerate(texts))
    ]


def _read_one(text: bytes | msgspec.Raw, path: str) -> Event | WrongEvent:
    try:
        event: Event = _decode_event(text)
        return event
    except UnicodeDecodeError as error:
        # Its object holds the bytes, so only the reason is told.
        return WrongEvent(None, path, f"a text is not UTF-8: {error.reason}; encode it anew")
    except msgspec.DecodeError as error:
        message, _, at = str(error).rpartition(" - at `$")
        event_id = next(_named(text), None)
        return WrongEvent(event_id, path + at.removesuffix("`") if message else path, message or at)


def _named(text: bytes | msgspec.Raw) -> Iterator[str | None]:
    try:
        yield _decode_named(text).event_id
    except _UNDECODABLE:
        return


def _is_json(line: bytes) -> bool:
    try:
        _decode_raw(line)
    except msgspec.DecodeError:
        return False
    return True


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    """Unpack at most `max_bytes`, however much the body would grow to."""
    unpacked = bytearray()
    unpacker = zlib.decompressobj(wbits=31)
    rest = memoryview(body)
    while rest:
        if unpacker.eof:
            unpacker = zlib.decompressobj(wbits=31)
        # In pieces: of each the unpacker copies what is left of it at the end of a part.
        piece = rest[:_PIECE]
        try:
            unpacked += unpacker.decompress(piece, max_bytes + 1 - len(unpacked))
        except zlib.error as error:
            raise InputError(
                f"the body starts like gzip but cannot be unpacked: {error}"
            ) from error
        if len(unpacked) > max_bytes:
            raise _too_large(max_bytes)
        rest = rest[len(piece) - len(unpacker.unused_data) :]
    if not unpacker.eof:
        raise InputError("the body is gzip that ends too early; send it whole")
    return bytes(unpacked)


def _too_large(max_bytes: int) -> BodySizeError:
    return BodySizeError(
        f"the body has more than {max_bytes} bytes, packed or unpacked; send fewer events at a time"
    )


def _no_json(error: Exception) -> EndcapError:
    return InputError(
        f"the body is not JSON: {error}; send an event, an array of events, or one event a line"
    )
