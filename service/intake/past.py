"""Turns the rows of a file of the past into the events that are stored.

An event that has no id is named by its content, so a file that is read twice is stored once. Equal
rows of one file are told apart by their order: a shop that notes days sells an item twice a day.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

import msgspec
import pyarrow as pa

from models.errors import InputError
from models.events import Event, InteractionKind
from models.ids import MAX_ID_BYTES
from models.past import (
    EARLIEST_MS,
    LOSSY,
    NOT_UTF8,
    TOO_EARLY,
    PastInteraction,
    RefusedRow,
)
from models.pseudonym import Pseudonymiser
from service.intake.body import WrongEvent, read_events
from service.intake.identify import FUTURE_MS, LATE_MS, FieldError, SecondsError, store_form
from service.intake.messages import digest
from service.stores.event_schema import EventFlag
from service.stores.events import StoredEvent

_NO_ID = "\x01"
"""Stands for the id of an event that has none until it is named; no shop's ids begin so."""
_MAX_QUANTITY, _MAX_PRICE, _MAX_TEXT = 1e9, 1e12, 64
_PRICED = (InteractionKind.ADD_TO_CART, InteractionKind.PURCHASE, InteractionKind.REFUND)
_ORDERED = (InteractionKind.PURCHASE, InteractionKind.REFUND)
_LATE = int(EventFlag.LATE)
_IDS = (
    "user_id",
    "anonymous_id",
    "session_id",
    "item_id",
    "banner_id",
    "order_id",
    "event_id",
    "exposure_id",
)


class Naming:
    """Names events by what they say and by how many like them came before."""

    def __init__(self) -> None:
        self._n_seen: dict[str, int] = {}

    def name(self, event: StoredEvent) -> StoredEvent:
        """Give an event its id; when it arrived, and so its flags, have no say."""
        content = event._replace(event_id="", received_ms=0, flags=0)
        said = digest("import", *content)
        n_before = self._n_seen.get(said, 0)
        self._n_seen[said] = n_before + 1
        return event._replace(event_id=f"i-{said}" if not n_before else f"i-{said}-{n_before}")


def store_past(
    rows: Iterable[PastInteraction | RefusedRow], pseudonymiser: Pseudonymiser, received_ms: int
) -> Iterator[StoredEvent | RefusedRow]:
    """Say how rows with the trainer's columns are stored."""
    naming = Naming()
    for row in rows:
        if isinstance(row, RefusedRow):
            yield row
            continue
        refused = _refuse(row)
        if refused is not None:
            yield RefusedRow(row.file, row.row, *refused)
            continue
        event = _store_form(row, pseudonymiser, received_ms)
        yield event if row.event_id is not None else naming.name(event)


def store_lines(
    path: Path, pseudonymiser: Pseudonymiser, received_ms: int
) -> Iterator[StoredEvent | RefusedRow]:
    """Say how events are stored of which a file has one a line, as ``POST /v1/events`` takes them.

    Here an event needs no `event_id`, but a `timestamp`: it did not happen when the file is read.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    naming = Naming()
    for number, line in _lines(path):
        where = (str(path), number)
        try:
            arrivals = read_events(_with_id(line))
        except InputError:
            yield RefusedRow(*where, "row_malformed", None)
            continue
        for _, event in arrivals:
            if isinstance(event, WrongEvent):
                yield RefusedRow(*where, f"{event.path}: {event.message}", None)
            elif event.timestamp is None:
                yield RefusedRow(*where, "timestamp_missing", None)
            else:
                try:
                    stored = store_form(event, pseudonymiser=pseudonymiser, received_ms=received_ms)
                except SecondsError:
                    yield RefusedRow(*where, TOO_EARLY, str(event.timestamp))
                    continue
                except FieldError as error:
                    yield RefusedRow(*where, _reason(error), None)
                    continue
                lossy = next((name for name in _IDS if LOSSY in (_text(event, name) or "")), None)
                if lossy is not None:
                    yield RefusedRow(*where, f"{lossy}{NOT_UTF8}", None)
                elif stored.at_ms < EARLIEST_MS:
                    yield RefusedRow(*where, TOO_EARLY, str(event.timestamp))
                elif stored.at_ms > received_ms + FUTURE_MS:
                    yield RefusedRow(*where, "timestamp_in_future", str(event.timestamp))
                else:
                    yield naming.name(stored) if stored.event_id == _NO_ID else stored


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with pa.input_stream(str(path), compression="detect") as unpacked:
            for number, line in enumerate(BufferedReader(unpacked), 1):
                text = line.removeprefix(BOM_UTF8) if number == 1 else line
                if text.strip():
                    yield number, text
    except OSError as error:
        raise InputError(f"cannot read {path}: {error}; check the file") from error


def _reason(error: FieldError) -> str:
    """Say what is wrong, but quote no id: the file of rejected rows stays in the home."""
    return f"{error.name}_invalid" if error.name in _IDS else f"$.{error.name}: {error.message}"


def _text(event: Event, name: str) -> str | None:
    """Read an id that only some types of events have."""
    value: str | None = getattr(event, name, None)
    return value


def _with_id(line: bytes) -> bytes:
    """Give an event without an id one that stands for none; what is wrong is left as it is."""
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return line
    if not isinstance(fields, dict) or fields.get("event_id") is not None:
        return line
    return msgspec.json.encode({**fields, "event_id": _NO_ID})


def _refuse(row: PastInteraction) -> tuple[str, str | None] | None:
    """Say what the service asks of an event and the trainer does not."""
    if row.quantity is not None and row.quantity > _MAX_QUANTITY:
        return "quantity_invalid", str(row.quantity)
    if row.price is not None and row.price > _MAX_PRICE:
        return "price_invalid", str(row.price)
    for name in ("order_id", "session_id", "anonymous_key", "session_key", "event_id"):
        value: str | None = getattr(row, name)
        if value is not None and ("\0" in value or len(value.encode()) > MAX_ID_BYTES):
            return f"{name}_invalid", None
        if value is not None and LOSSY in value:
            return f"{name}{NOT_UTF8}", None
    for name in ("country", "channel", "platform"):
        value = getattr(row, name)
        if value is not None and ("\0" in value or len(value) > _MAX_TEXT):
            return f"{name}_invalid", value[:_MAX_TEXT]
    return None


def _store_form(
    row: PastInteraction, pseudonymiser: Pseudonymiser, received_ms: int
) -> StoredEvent:
    hide = pseudonymiser.pseudonym
    user_key = row.user_key
    if user_key is None and row.user_id is not None:
        user_key = hide("user_id", row.user_id)
    session_key = row.session_key
    if session_key is None and row.session_id is not None:
        session_key = hide("session_id", row.session_id)
    is_priced = row.kind in _PRICED
    return StoredEvent(
        event_id=row.event_id or "",
        kind=row.kind,
        at_ms=row.at_ms,
        received_ms=received_ms,
        # An export names a visitor who never signed in in both columns.
        user_key=None if user_key == row.anonymous_key else user_key,
        anonymous_key=row.anonymous_key,
        session_key=session_key,
        item_id=row.item_id,
        quantity=row.quantity if is_priced else None,
        price=row.price if is_priced else None,
        order_id=row.order_id if row.kind in _ORDERED else None,
        country=row.country,
        channel=row.channel,
        platform=row.platform,
        flags=_LATE if row.at_ms < received_ms - LATE_MS else 0,
    )
