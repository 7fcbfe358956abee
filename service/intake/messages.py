"""What a message of another product's client may come to, and how its values are read.

A message of Segment, RudderStack or GA4 becomes no, one or several events of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import msgspec

from models.errors import InputError
from models.events import Event
from service.intake.body import Arrival, BodySizeError, WrongEvent
from service.intake.identify import FieldError, check_fields

Kind = Literal["view", "click", "add_to_cart", "purchase", "refund", "exposure"]

MAX_SHARED_BYTES = 16_384
"""What a body may say for all of its messages: each of thousands looks at it."""

Fields = Mapping[str, Any]
"""A JSON object of a client we did not write: nothing of it is certain."""


class Ignored(NamedTuple):
    """A message that says nothing Endcap keeps, and why."""

    event_id: str | None
    path: str
    reason: str


class Known(NamedTuple):
    """Two ids that a message says belong to one person."""

    user_id: str
    anonymous_id: str


class Sorted(NamedTuple):
    """The messages of a body, sorted by what they come to."""

    arrivals: list[Arrival]
    ignored: list[Ignored]
    known: list[Known]


def text(value: object) -> str | None:
    """Read an id: numbers are ids too, and an empty text is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int | float):
        return str(value).strip() or None
    return None


def first_text(fields: Fields, *names: str) -> str | None:
    """Read the first of several fields that names something."""
    return next((found for name in names if (found := text(fields.get(name)))), None)


def inside(fields: Fields, *names: str) -> Fields:
    """Return an object inside, or an empty one if there is none."""
    found: object = fields
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def check_shared(envelope: Fields, many: str) -> None:
    """Hold what a body says beside its messages, which are in the field `many`, to a length.

    Raises
    ------
    BodySizeError
        If it says more than `MAX_SHARED_BYTES`.
    """
    shared = {name: said for name, said in envelope.items() if name != many}
    n_bytes = len(msgspec.json.encode(shared))
    if n_bytes > MAX_SHARED_BYTES:
        raise BodySizeError(
            f"the body says {n_bytes} bytes beside {many!r}, for all that is in it, and may say "
            f"{MAX_SHARED_BYTES}; say it in {many!r}, of what it is about"
        )


def digest(*parts: object, key: bytes = b"") -> str:
    """Name a message that has no id of its own by what it says.

    With a `key` if that may be a raw id or an order's number: guesses could be tried otherwise.
    """
    return blake2b(msgspec.json.encode(parts), digest_size=16, key=key).hexdigest()


def arrive(kind: Kind, values: Fields, *, path: str, names: Mapping[str, str]) -> Arrival:
    """Make an event of values; a mistake is told at `path` under the name that the client used."""
    present = {name: value for name, value in values.items() if value is not None}
    try:
        event: Event = msgspec.convert({"event": kind, **present}, Event, strict=False)
        check_fields(event)
    except msgspec.ValidationError as error:
        message, _, place = str(error).rpartition(" - at `$.")
        field = place.removesuffix("`")
        at = f"{path}.{names.get(field, field)}" if message else path
        return Arrival(at, WrongEvent(text(values.get("event_id")), at, message or str(error)))
    except FieldError as error:
        at = f"{path}.{names.get(error.name, error.name)}"
        return Arrival(at, WrongEvent(text(values.get("event_id")), at, error.message))
    return Arrival(path, event)


def decode_object(body: bytes) -> Fields:
    """Decode a body that has to be one JSON object.

    Raises
    ------
    InputError
        If it is not.
    """
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            decoded = _without_half_characters(body)
        except (ValueError, RecursionError, msgspec.DecodeError):
            raise InputError(f"the body is not JSON: {error}; send one JSON object") from error
    if not isinstance(decoded, dict):
        raise InputError("the body is JSON but no object; send one as the client libraries do")
    return decoded


def read_field(body: bytes, name: str) -> Any:
    """Read one field of a body that has to be one JSON object, and pass over all others.

    It is for bodies of senders who are not known yet: it takes a twentieth of `decode_object`.

    Raises
    ------
    InputError
        If it is not one.
    """
    try:
        return _decoder_of(name).decode(body).value
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"the body is no JSON object that can be read: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decode_object(body).get(name)


@cache
def _decoder_of(name: str) -> msgspec.json.Decoder[Any]:
    field = ("value", Any, msgspec.field(name=name, default=None))
    return msgspec.json.Decoder(msgspec.defstruct("OneField", [field]))


def _without_half_characters(body: bytes) -> Any:
    """Decode a body of which a text was cut inside a character, as some clients cut names.

    A question mark stands for the half that is left; other messages of a batch stay as they were.
    """
    text_of = json.dumps(json.loads(body), ensure_ascii=False)
    return msgspec.json.decode(text_of.encode("utf-8", "replace"))
