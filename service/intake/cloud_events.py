"""Reads events of ours that travel as CloudEvents 1.0: structured, in a batch, or binary.

The event is the ``data``; what it leaves out is taken from the envelope: ``event`` is the last
word of ``type``, ``timestamp`` is ``time``, ``event_id`` is made of ``source`` and ``id``, which
together name an event for good.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from models.errors import InputError
from models.events import Event
from service.intake.body import Arrival, WrongEvent, at_most, read_events
from service.intake.identify import FieldError, to_ms
from service.intake.messages import digest

_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_MAX_ID_BYTES = 256


def is_cloud_event(headers: Mapping[str, str]) -> bool:
    """Say whether a request carries CloudEvents."""
    return "ce-specversion" in headers or _media_type(headers) in (_STRUCTURED, _BATCH)


def read_cloud_events(body: bytes, headers: Mapping[str, str]) -> list[Arrival]:
    """Read all of a body, which has been unpacked.

    Raises
    ------
    InputError
        If it is not JSON, or not what its content type says, or a header is no UTF-8.
    """
    media_type = _media_type(headers)
    if media_type not in (_STRUCTURED, _BATCH):
        attributes = {
            name[3:]: _attribute(name, value)
            for name, value in headers.items()
            if name.startswith("ce-")
        }
        return [_arrival({**attributes, "data": _decode(body)}, "$")]
    decoded = _decode(body)
    if media_type == _STRUCTURED:
        return [_arrival(decoded, "$")]
    if not isinstance(decoded, list):
        raise InputError(f"the body is no array; {_BATCH} says that it is one of CloudEvents")
    return [_arrival(each, f"$[{i}]") for i, each in enumerate(at_most(decoded))]


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _attribute(name: str, value: str) -> str:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise InputError(
            f"the header {name[:40]} is not valid UTF-8; percent-encode UTF-8 bytes"
        ) from error


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the body is not JSON: {error}; send CloudEvents in JSON") from error


def _arrival(envelope: Any, path: str) -> Arrival:
    if not isinstance(envelope, dict):
        return Arrival(path, WrongEvent(None, path, "Expected an object: a CloudEvent"))
    for name in ("id", "source", "type"):
        if not isinstance(envelope.get(name), str) or not envelope[name]:
            at = f"{path}.{name}"
            return Arrival(at, WrongEvent(None, at, "is missing; a CloudEvent has it"))
    event_id = _event_id(envelope["source"], envelope["id"])
    version = envelope.get("specversion")
    if version != "1.0":
        at = f"{path}.specversion"
        return Arrival(at, WrongEvent(event_id, at, f"{version!r} is not 1.0"))
    data = _data(envelope)
    if not isinstance(data, dict):
        at = f"{path}.data"
        return Arrival(at, WrongEvent(event_id, at, "Expected an object: an event of Endcap"))
    event = {"event": envelope["type"].rpartition(".")[2], "event_id": event_id, **data}
    if "time" in envelope:
        event.setdefault("timestamp", envelope["time"])
    (arrival,) = read_events(msgspec.json.encode(event))
    has_own_time = "timestamp" in data
    found = arrival.event if has_own_time else _in_time(arrival.event)
    if not isinstance(found, WrongEvent):
        return Arrival(f"{path}.data", found)
    is_of_envelope = found.path == "$.timestamp" and not has_own_time
    at = f"{path}.time" if is_of_envelope else found.path.replace("$", f"{path}.data", 1)
    return Arrival(at, found._replace(path=at))


def _in_time(event: Event | WrongEvent) -> Event | WrongEvent:
    """Check the time of an envelope here: where all events are checked it has another name."""
    if isinstance(event, WrongEvent) or event.timestamp is None:
        return event
    try:
        to_ms(event.timestamp)
    except FieldError as error:
        rule = error.message.removeprefix(error.name)
        return WrongEvent(event.event_id, "$.timestamp", f"time{rule}")
    return event


def _data(envelope: dict[str, Any]) -> Any:
    """Return the data, which is JSON in base64 if the sender took it for bytes."""
    packed = envelope.get("data_base64")
    if not isinstance(packed, str):
        return envelope.get("data")
    try:
        return msgspec.json.decode(base64.b64decode(packed, validate=True))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _event_id(source: str, own: str) -> str:
    named = f"{source}#{own}"
    return named if len(named.encode()) <= _MAX_ID_BYTES else digest("cloud event", source, own)
