"""Turns an event from the wire into the row that is stored: pseudonyms, epoch ms, flags."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from models.errors import InputError
from models.events import (
    EVENT_KINDS,
    AddToCart,
    Click,
    Event,
    ExposureEvent,
    Purchase,
    Refund,
    WireEvent,
)
from models.ids import check_id
from models.pseudonym import Pseudonymiser
from service.stores.event_schema import RENDERED, VIEWABLE, EventFlag
from service.stores.events import StoredEvent

LATE_MS = 7 * 86_400_000
FUTURE_MS = 5 * 60_000
MAX_AT_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""

_IDS = (
    "event_id",
    "user_id",
    "anonymous_id",
    "session_id",
    "exposure_id",
    "item_id",
    "banner_id",
    "order_id",
)


class FieldError(InputError):
    """A field of an event is wrong in a way that its type does not show."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def store_form(event: Event, *, pseudonymiser: Pseudonymiser, received_ms: int) -> StoredEvent:
    """Say how an event is stored. Without consent nothing that names a person or an order is kept.

    Raises
    ------
    FieldError
        If an id has too many bytes, or the timestamp has no offset or is no date.
    """
    _check_ids(event)
    at_ms = received_ms if event.timestamp is None else to_ms(event.timestamp)
    flags = _flags(event, at_ms=at_ms, received_ms=received_ms)
    keys = (
        (None, None, None)
        if not event.consent
        else (
            None if event.user_id is None else pseudonymiser.pseudonym("user_id", event.user_id),
            None
            if event.anonymous_id is None
            else pseudonymiser.pseudonym("anonymous_id", event.anonymous_id),
            None
            if event.session_id is None
            else pseudonymiser.pseudonym("session_id", event.session_id),
        )
    )
    item_id = banner_id = quantity = price = order_id = None
    if not isinstance(event, ExposureEvent):
        item_id = event.item_id
    if isinstance(event, Click):
        banner_id = event.banner_id
    if isinstance(event, AddToCart | Purchase | Refund):
        quantity, price = event.quantity, event.price
    if isinstance(event, Purchase | Refund) and event.consent:
        order_id = event.order_id
    return StoredEvent(
        event.event_id,
        _kind(event),
        at_ms,
        received_ms,
        *keys,
        item_id,
        banner_id,
        event.exposure_id,
        quantity,
        price,
        order_id,
        event.country,
        event.channel,
        event.platform,
        flags,
    )


def to_ms(timestamp: datetime | int) -> int:
    """Convert a timestamp from the wire to epoch ms.

    Raises
    ------
    FieldError
        If it says no offset from UTC, or is a number that no calendar has.
    """
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise FieldError(
                "timestamp",
                f"timestamp {timestamp.isoformat()!r} says no offset from UTC; "
                f"write {timestamp.isoformat()}Z, or send epoch milliseconds",
            )
        return int(timestamp.timestamp() * 1000)
    if not -MAX_AT_MS <= timestamp <= MAX_AT_MS:
        raise FieldError(
            "timestamp",
            f"timestamp {timestamp} is no moment up to the year 9999; send epoch milliseconds",
        )
    return timestamp


def _kind(event: Event) -> int:
    if isinstance(event, ExposureEvent):
        return RENDERED if event.grade == "rendered" else VIEWABLE
    return EVENT_KINDS[type(event)].value


def _flags(event: WireEvent, *, at_ms: int, received_ms: int) -> int:
    flags = 0
    if at_ms < received_ms - LATE_MS:
        flags |= EventFlag.LATE
    elif at_ms > received_ms + FUTURE_MS:
        flags |= EventFlag.FUTURE
    if not event.consent:
        flags |= EventFlag.NO_CONSENT
    return int(flags)


def _check_ids(event: Event) -> None:
    """Hold ids to the rule in bytes; the decoder has counted characters."""
    for name in _present_ids(type(event)):
        value = getattr(event, name)
        # Up to 64 characters are at most 256 bytes, and an ASCII character is one.
        if value is not None and not value.isascii() and len(value) > 64:
            try:
                check_id(value, name)
            except InputError as error:
                raise FieldError(name, error.message) from error


@cache
def _present_ids(event_type: type[WireEvent]) -> tuple[str, ...]:
    return tuple(name for name in _IDS if name in event_type.__struct_fields__)
