"""Turns what senders of GA4's Measurement Protocol send into events of ours.

GA4 gives an event no id. The one made here is the order's for a purchase, else a digest of what was
said; a sender that repeats an event without a time, `timestamp_micros`, is not recognised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.errors import InputError
from models.ids import MAX_ID_BYTES
from models.past import EARLIEST_MS
from service.intake import consents
from service.intake.body import Arrival, WrongEvent, at_most
from service.intake.commerce import GA4_EVENTS, Meaning
from service.intake.identify import MAX_AT_MS
from service.intake.messages import (
    Fields,
    Ignored,
    Sorted,
    arrive,
    check_shared,
    decode_object,
    digest,
    first_text,
    inside,
    text,
)

_MAX_DIGITS = 30
_NO_MICROS = (
    "is not of the years 1980 to 9999 in microseconds since 1970; "
    "multiply seconds by 1000000, milliseconds by 1000"
)


def read_ga4(body: bytes, received_ms: int, *, key: bytes) -> Sorted:
    """Read the body of ``/mp/collect``: a client and its events, which are named under the `key`.

    Raises
    ------
    InputError
        If the body is no JSON object with a list `events`, or says too much beside it.
    """
    envelope = decode_object(body)
    events = envelope.get("events")
    if not isinstance(events, list):
        raise InputError('the body has no list \'events\'; send {"client_id": …, "events": […]}')
    check_shared(envelope, "events")
    # Read once, for it may name many things.
    envelope = {**envelope, "consent": consents.in_ga4(envelope.get("consent"))}
    found = Sorted([], [], [])
    for i, event in enumerate(at_most(events)):
        path = f"$.events[{i}]"
        if not isinstance(event, Mapping):
            wrong = WrongEvent(None, path, "Expected an object: an event with name and params")
            found.arrivals.append(Arrival(path, wrong))
            continue
        event_id = _event_id(envelope, event, received_ms, key)
        _sort_one(envelope, event, event_id, path, found)
        at_most(found.arrivals)
    return found


def _sort_one(envelope: Fields, event: Fields, event_id: str, path: str, found: Sorted) -> None:
    name, params = text(event.get("name")) or "", inside(event, "params")
    meaning = GA4_EVENTS.get(name)
    if meaning is None:
        reason = f"{name!r} is no e-commerce event of GA4 that Endcap keeps"
        found.ignored.append(Ignored(event_id, path, reason))
        return
    micros = _micros(envelope, event)
    if isinstance(micros, int) and not EARLIEST_MS <= micros // 1000 <= MAX_AT_MS:
        at = f"{path if event.get('timestamp_micros') else '$'}.timestamp_micros"
        found.arrivals.append(Arrival(at, WrongEvent(event_id, at, f"{micros} {_NO_MICROS}")))
        return
    common = _common(envelope, event, params, event_id)
    if meaning.about == "items":
        _add_items(params, meaning, common, path, found)
        return
    if meaning.about == "banner":
        first = next((each for each in _items(params) if isinstance(each, Mapping)), {})
        banner = first_text(params, "promotion_id") or first_text(first, "promotion_id")
        values: dict[str, Any] = {**common, "banner_id": banner}
        if banner is None:
            at = f"{path}.params.promotion_id"
            found.arrivals.append(Arrival(at, WrongEvent(event_id, at, "is missing or empty")))
            return
        found.arrivals.append(arrive("click", values, path=path, names=_NAMES))
    elif common["exposure_id"] is None:
        reason = "without params.exposure_id it reports nothing that Endcap served"
        found.ignored.append(Ignored(event_id, path, reason))
    else:
        values = {**common, "grade": text(params.get("grade")) or "rendered"}
        found.arrivals.append(arrive("exposure", values, path=path, names=_NAMES))


_NAMES = {
    "user_id": "user_id",
    "anonymous_id": "client_id",
    "session_id": "params.session_id",
    "exposure_id": "params.exposure_id",
    "banner_id": "params.promotion_id",
    "order_id": "params.transaction_id",
    "grade": "params.grade",
    "timestamp": "timestamp_micros",
}


def _add_items(params: Fields, meaning: Meaning, common: Fields, path: str, found: Sorted) -> None:
    items = _items(params)
    if not items:
        at = f"{path}.params.items"
        rule = "is missing or empty; an e-commerce event names its items"
        found.arrivals.append(Arrival(at, WrongEvent(common["event_id"], at, rule)))
        return
    if meaning.kind in ("purchase", "refund"):
        common = {**common, "order_id": first_text(params, "transaction_id")}
    for i, item in enumerate(at_most(items)):
        fields = item if isinstance(item, Mapping) else {}
        place = f"params.items[{i}]."
        values = {
            **common,
            # One that is too long is refused with each item, and not copied for each.
            "event_id": f"{common['event_id'][:MAX_ID_BYTES]}.{i}",
            "item_id": first_text(fields, "item_id", "id"),
        }
        if meaning.kind not in ("view", "click"):
            values |= {"quantity": fields.get("quantity"), "price": fields.get("price")}
        if values["item_id"] is None:
            at = f"{path}.{place}item_id"
            wrong = WrongEvent(values["event_id"], at, "is missing or empty")
            found.arrivals.append(Arrival(at, wrong))
            continue
        own = {name: place + name for name in ("item_id", "quantity", "price")}
        found.arrivals.append(arrive(meaning.kind, values, path=path, names={**_NAMES, **own}))


def _items(params: Fields) -> list[Any]:
    items = params.get("items")
    return items if isinstance(items, list) else []


def _common(envelope: Fields, event: Fields, params: Fields, event_id: str) -> dict[str, Any]:
    micros = _micros(envelope, event)
    return {
        "event_id": event_id,
        "timestamp": micros // 1000 if isinstance(micros, int) else micros,
        "user_id": text(envelope.get("user_id")),
        "anonymous_id": first_text(envelope, "client_id", "app_instance_id"),
        "session_id": text(params.get("session_id")),
        "consent": envelope["consent"],
        "country": text(inside(envelope, "user_location").get("country_id")),
        "exposure_id": text(params.get("exposure_id")),
        "user_agent": text(envelope.get("user_agent")),
    }


def _micros(envelope: Fields, event: Fields) -> object:
    """Read the time, a number or digits; what is neither is given back, and refused later."""
    said = event.get("timestamp_micros") or envelope.get("timestamp_micros") or None
    digits = text(said) or ""
    # More digits than Python reads are no time either.
    if not digits.removeprefix("-").isdecimal() or len(digits) > _MAX_DIGITS:
        return said
    return int(digits)


def _event_id(envelope: Fields, event: Fields, received_ms: int, key: bytes) -> str:
    params = inside(event, "params")
    own = text(params.get("event_id"))
    if own is not None:
        return own
    order = text(params.get("transaction_id"))
    if text(event.get("name")) == "purchase" and order is not None:
        return digest("ga4", "purchase", order, key=key)
    micros = event.get("timestamp_micros") or envelope.get("timestamp_micros")
    who = first_text(envelope, "client_id", "app_instance_id", "user_id")
    return digest("ga4", who, micros or received_ms, event, key=key)
