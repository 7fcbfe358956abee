"""Turns an event from the wire into the row that is stored: pseudonyms, epoch ms, flags."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from models.errors import InputError
from models.events import (
    EVENT_KINDS,
    Event,
    ExposureEvent,
    WireEvent,
)
from models.ids import check_id
from models.past import EARLIEST_MS
from models.pseudonym import Pseudonymiser
from service.intake.robots import is_robot
from service.stores.event_schema import RENDERED, VIEWABLE, EventFlag
from service.stores.events import StoredEvent

LATE_MS = 7 * 86_400_000
FUTURE_MS = 5 * 60_000
MAX_AT_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""

# The last ones are no ids: texts that are stored as they are, and PostgreSQL stores no NUL.
_CHECKED = (
    "event_id",
    "user_id",
    "anonymous_id",
    "session_id",
    "exposure_id",
    "item_id",
    "banner_id",
    "order_id",
    "country",
    "channel",
    "platform",
    "variant",
)
# An enum's operators cost more than all the rest of an event.
_LATE, _FUTURE, _BOT, _PREVIEW, _NO_CONSENT, _BY_SERVER = map(int, EventFlag)


class FieldError(InputError):
    """A field of an event is wrong in a way that its type does not show."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class SecondsError(FieldError):
    """A timestamp is a number that is no epoch ms, such as epoch seconds."""


class _Form(NamedTuple):
    """What a type of event has, looked up once and not for each event."""

    kind: int
    checked: tuple[str, ...]
    has_item: bool
    has_banner: bool
    is_priced: bool
    is_ordered: bool


def _form(event_type: type[WireEvent], kind: int) -> _Form:
    fields = event_type.__struct_fields__
    return _Form(
        kind=kind,
        checked=tuple(name for name in _CHECKED if name in fields),
        has_item="item_id" in fields,
        has_banner="banner_id" in fields,
        is_priced="price" in fields,
        is_ordered="order_id" in fields,
    )


_FORMS: dict[type[WireEvent], _Form] = {
    **{event_type: _form(event_type, kind) for event_type, kind in EVENT_KINDS.items()},
    ExposureEvent: _form(ExposureEvent, RENDERED),
}


def store_form(
    event: Event,
    *,
    pseudonymiser: Pseudonymiser,
    received_ms: int,
    user_agent: str = "",
    behind_ms: int = 0,
    is_by_server: bool = False,
) -> StoredEvent:
    """Say how an event is stored. Without consent nothing that names a person or an order is kept.

    `user_agent` is the sender's; an event that names one of its own is judged by that. `behind_ms`
    is how far the clock that gave the event its timestamp is behind ours; `is_by_server` says that
    it came with a key that no page has.

    Raises
    ------
    FieldError
        If an id has too many bytes, an id or a text has a NUL, or the timestamp has no offset, is
        no date or is in seconds.
    """
    form = _FORMS[type(event)]
    # What a type lacks is absent: the form says which fields are there.
    fields: Any = event
    for name in form.checked:
        value = getattr(fields, name)
        # Up to 64 characters are at most 256 bytes, and an ASCII character is one.
        if value is not None and ("\0" in value or (not value.isascii() and len(value) > 64)):
            _check_bytes(value, name)
    at_ms = received_ms if event.timestamp is None else to_ms(event.timestamp, behind_ms)
    user_key = anonymous_key = session_key = order_id = None
    if event.consent:
        hide = pseudonymiser.pseudonym
        user_key = None if event.user_id is None else hide("user_id", event.user_id)
        if event.anonymous_id is not None:
            anonymous_key = hide("anonymous_id", event.anonymous_id)
        if event.session_id is not None:
            session_key = hide("session_id", event.session_id)
        order_id = fields.order_id if form.is_ordered else None
    return StoredEvent(
        event.event_id,
        VIEWABLE if isinstance(event, ExposureEvent) and event.grade == "viewable" else form.kind,
        at_ms,
        received_ms,
        user_key,
        anonymous_key,
        session_key,
        fields.item_id if form.has_item else None,
        fields.banner_id if form.has_banner else None,
        event.exposure_id,
        fields.quantity if form.is_priced else None,
        fields.price if form.is_priced else None,
        order_id,
        event.country,
        event.channel,
        event.platform,
        _flags_of(event, at_ms, received_ms, event.user_agent or user_agent)
        | (_BY_SERVER if is_by_server else 0),
        event.variant if isinstance(event, ExposureEvent) else None,
    )


def check_fields(event: Event) -> None:
    """Look for what the types of an event do not show, as `store_form` does.

    Raises
    ------
    FieldError
        As there.
    """
    for name in _FORMS[type(event)].checked:
        value: str | None = getattr(event, name)
        if value:
            _check_bytes(value, name)
    if event.timestamp is not None:
        to_ms(event.timestamp)


def to_ms(timestamp: datetime | int, behind_ms: int = 0) -> int:
    """Convert a timestamp from the wire, whose clock is so far behind ours, to epoch ms.

    Raises
    ------
    FieldError
        If it says no offset from UTC, or is before 1970 or after 9999.
    SecondsError
        If it is a number that is too low for epoch ms, as today is in seconds.
    """
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise FieldError(
                "timestamp",
                f"timestamp {timestamp.isoformat()!r} says no offset from UTC; "
                f"write {timestamp.isoformat()}Z, or send epoch milliseconds",
            )
        at_ms = int(timestamp.timestamp() * 1000)
    else:
        at_ms = timestamp
    at_ms += behind_ms
    if not 0 <= at_ms <= MAX_AT_MS:
        raise FieldError(
            "timestamp",
            f"timestamp {timestamp} is not of the years 1970 to 9999; send epoch milliseconds",
        )
    # A device that has lost its clock writes a date of 1970, or says by which clock it sent.
    if at_ms < EARLIEST_MS and isinstance(timestamp, int):
        raise SecondsError(
            "timestamp",
            f"timestamp {timestamp} is before 1980 in epoch milliseconds; multiply seconds by 1000",
        )
    return at_ms


def _flags_of(event: Event, at_ms: int, received_ms: int, user_agent: str) -> int:
    flags = 0 if event.consent else _NO_CONSENT
    if at_ms < received_ms - LATE_MS:
        flags |= _LATE
    elif at_ms > received_ms + FUTURE_MS:
        flags |= _FUTURE
    if is_robot(user_agent):
        flags |= _BOT
    if event.preview:
        flags |= _PREVIEW
    return flags


def _check_bytes(value: str, name: str) -> None:
    """Hold an id to the whole rule; the decoder has counted characters."""
    try:
        check_id(value, name)
    except InputError as error:
        raise FieldError(name, error.message) from error
