"""Turns what the clients of Segment and RudderStack send into events of ours.

A message is one call: ``track``, ``page``, ``identify`` and so on. Nothing here reads a clock: the
moment of arrival is passed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from models.errors import InputError
from models.ids import MAX_ID_BYTES
from service.intake import consents
from service.intake.body import Arrival, WrongEvent, at_most
from service.intake.commerce import Meaning, segment_meaning
from service.intake.messages import (
    Fields,
    Ignored,
    Known,
    Sorted,
    arrive,
    check_shared,
    decode_object,
    digest,
    first_text,
    inside,
    text,
)

Call = Literal["track", "page", "screen", "identify", "group", "alias"]

_NAMES = {
    "event_id": "messageId",
    "user_id": "userId",
    "anonymous_id": "anonymousId",
    "session_id": "context.sessionId",
    "country": "context.location.country",
    "channel": "channel",
    "platform": "context.os.name",
    "user_agent": "context.userAgent",
}
"""Where a client writes what is called otherwise here."""

_IN_CONTEXT = ("sessionId", "location", "os", "userAgent", "consent", "consentManagement")
"""What is read of a context."""

_ITEM_NAMES = ("product_id", "productId", "sku", "id")
_NO_ACTION = {
    "page": "a page names no item; send 'Product Viewed' for an item's page",
    "screen": "a screen names no item; send 'Product Viewed' for an item's screen",
    "group": "Endcap knows no groups of users",
    "alias": "Endcap never renames a user; send identify with both ids",
}


def read_call(
    body: bytes, call: Call, received_ms: int, *, key: bytes, is_by_device: bool = False
) -> Sorted:
    """Read the body of ``/v1/track`` and the like: one message, whose type is the path's.

    A message without an id is named under the `key`. One `is_by_device` if its `timestamp` is of
    the clock that `sentAt` is of.

    Raises
    ------
    InputError
        If the body is no JSON object.
    """
    message = {**decode_object(body), "type": call}
    said = _as_device(message) if is_by_device else message
    return _sort([(said, "$")], text(message.get("sentAt")), received_ms, key)


def read_batch(body: bytes, received_ms: int, *, key: bytes, is_by_device: bool = False) -> Sorted:
    """Read the body of ``/v1/batch``: an object with the messages in ``batch``.

    A message without an id is named under the `key`. They are `is_by_device` if their `timestamp`
    is of the clock that `sentAt` is of.

    Raises
    ------
    InputError
        If the body is no JSON object with a list `batch`, or says too much beside it.
    """
    envelope = decode_object(body)
    messages = envelope.get("batch")
    if not isinstance(messages, list):
        raise InputError("the body has no list 'batch'; send {\"batch\": [...]} as the clients do")
    check_shared(envelope, "batch")
    shared = _shared(inside(envelope, "context"))
    placed = [
        (_in_context(message, shared), f"$.batch[{i}]")
        for i, message in enumerate(at_most(messages))
    ]
    if is_by_device:
        placed = [(_as_device(message), path) for message, path in placed]
    return _sort(placed, text(envelope.get("sentAt")), received_ms, key)


def _as_device(message: Any) -> Any:
    """Call the time of Segment's library on a device what RudderStack's call it."""
    if not isinstance(message, Mapping) or "originalTimestamp" in message:
        return message
    return {**message, "originalTimestamp": message.get("timestamp"), "timestamp": None}


def _shared(context: Fields) -> dict[str, Any]:
    """Return what is read of the context of an envelope; whether it grants consent, only once."""
    read = {name: context[name] for name in _IN_CONTEXT if context.get(name) is not None}
    if "consent" in read:
        read["consent"] = consents.in_call({"consent": read["consent"]})
    return read


def _in_context(message: Any, shared: Fields) -> Any:
    """Add what the envelope says to a message, field by field where it says nothing itself."""
    if not shared or not isinstance(message, Mapping):
        return message
    own = {name: said for name, said in inside(message, "context").items() if said is not None}
    return {**message, "context": {**shared, **own}}


def _sort(
    messages: Sequence[tuple[Any, str]], sent_at: str | None, received_ms: int, key: bytes
) -> Sorted:
    found = Sorted([], [], [])
    for message, path in messages:
        if not isinstance(message, Mapping):
            wrong = WrongEvent(None, path, "Expected an object: one call of the client")
            found.arrivals.append(Arrival(path, wrong))
            continue
        named = {**message, "messageId": _id_of(message, received_ms, key)}
        _sort_one(named, path, sent_at, received_ms, found)
        at_most(found.arrivals)
    return found


def _sort_one(
    message: Fields, path: str, sent_at: str | None, received_ms: int, found: Sorted
) -> None:
    message_id = message["messageId"]
    call = text(message.get("type")) or ""
    if call == "identify":
        known = _known(message)
        if known is None:
            reason = "identify tells Endcap nothing without userId and anonymousId, or consent"
            found.ignored.append(Ignored(message_id, path, reason))
        else:
            found.known.append(known)
            found.ignored.append(Ignored(message_id, path, "noted: who the visitor is"))
        return
    if call in _NO_ACTION:
        found.ignored.append(Ignored(message_id, path, _NO_ACTION[call]))
        return
    name = text(message.get("event"))
    if call != "track" or name is None:
        at = f"{path}.event" if call == "track" else f"{path}.type"
        rule = "is missing; a track call has a name" if call == "track" else f"{call!r} is no call"
        found.arrivals.append(Arrival(at, WrongEvent(message_id, at, rule)))
        return
    meaning = segment_meaning(name)
    if meaning is None:
        reason = f"{name!r} is no event of the E-Commerce specification that Endcap keeps"
        found.ignored.append(Ignored(message_id, path, reason))
        return
    common = _common(message, message_id, sent_at, received_ms)
    _add_events(message, meaning, common, path, found)


def _add_events(
    message: Fields, meaning: Meaning, common: Fields, path: str, found: Sorted
) -> None:
    properties = inside(message, "properties")
    exposure_id = first_text(properties, "exposure_id", "exposureId")
    if meaning.about == "slate":
        if exposure_id is None:
            reason = "without properties.exposure_id it reports nothing that Endcap served"
            found.ignored.append(Ignored(common["event_id"], path, reason))
            return
        grade = text(properties.get("grade")) or "rendered"
        values = {**common, "exposure_id": exposure_id, "grade": grade}
        values["variant"] = first_text(properties, "variation_id", "variation_name")
        found.arrivals.append(_arrive("exposure", values, path, "properties."))
    elif meaning.about == "banner":
        banner = first_text(properties, "promotion_id", "promotionId", "id")
        values = {**common, "exposure_id": exposure_id, "banner_id": banner}
        found.arrivals.append(_arrive("click", values, path, "properties."))
    else:
        _add_items(properties, meaning, {**common, "exposure_id": exposure_id}, path, found)


def _add_items(
    properties: Fields, meaning: Meaning, common: Fields, path: str, found: Sorted
) -> None:
    products = properties.get("products")
    if meaning.kind in ("purchase", "refund"):
        common = {**common, "order_id": first_text(properties, "order_id", "orderId", "id")}
        if not isinstance(products, list) or not products:
            at = f"{path}.properties.products"
            rule = "is missing or empty; an order names the products bought or taken back"
            found.arrivals.append(Arrival(at, WrongEvent(common["event_id"], at, rule)))
            return
    if not isinstance(products, list) or not products:
        # Some trackers send the list with every event, filled or not.
        values = {**common, **_line(properties, meaning)}
        found.arrivals.append(_arrive(meaning.kind, values, path, "properties."))
        return
    for i, product in enumerate(at_most(products)):
        fields = product if isinstance(product, Mapping) else {}
        exposure_id = first_text(fields, "exposure_id", "exposureId")
        values = {
            **common,
            **_line(fields, meaning),
            # A repeated call has the same products in the same order. An id that is too long is
            # refused with each of them, and not copied for each.
            "event_id": f"{common['event_id'][:MAX_ID_BYTES]}.{i}",
            "exposure_id": exposure_id or common["exposure_id"],
        }
        place = f"properties.products[{i}]."
        found.arrivals.append(_arrive(meaning.kind, values, path, place))


def _arrive(kind: Any, values: Fields, path: str, place: str) -> Arrival:
    own = {name: place + name for name in ("quantity", "price", "order_id", "exposure_id", "grade")}
    own["variant"] = f"{place}variation_id"
    named = {"item_id": f"{place}product_id", "banner_id": f"{place}promotion_id"}
    subject = "item_id" if "item_id" in values else "banner_id" if "banner_id" in values else None
    if subject is not None and values[subject] is None:
        at = f"{path}.{named[subject]}"
        return Arrival(at, WrongEvent(values["event_id"], at, "is missing or empty"))
    return arrive(kind, values, path=path, names={**_NAMES, **own, **named})


def _line(product: Fields, meaning: Meaning) -> dict[str, Any]:
    """Read one product; only what is bought or put into a basket has a price and a quantity."""
    line: dict[str, Any] = {"item_id": first_text(product, *_ITEM_NAMES)}
    if meaning.kind not in ("view", "click"):
        line["quantity"] = product.get("quantity")
        line["price"] = product.get("price")
    return line


def _common(
    message: Fields, message_id: str, sent_at: str | None, received_ms: int
) -> dict[str, Any]:
    context = inside(message, "context")
    platform = text(inside(context, "os").get("name"))
    return {
        "event_id": message_id,
        "timestamp": _moment(message, sent_at, received_ms),
        "user_id": text(message.get("userId")),
        "anonymous_id": text(message.get("anonymousId")),
        "session_id": text(context.get("sessionId")),
        "consent": consents.in_call(context),
        "country": text(inside(context, "location").get("country")),
        "channel": text(message.get("channel")),
        "platform": None if platform is None else platform.lower(),
        "user_agent": text(context.get("userAgent")),
        "preview": inside(message, "properties").get("preview") is True or None,
    }


def _known(message: Fields) -> Known | None:
    user_id = text(message.get("userId"))
    anonymous_id = text(message.get("anonymousId"))
    is_refused = not consents.in_call(inside(message, "context"))
    if user_id is None or anonymous_id is None or is_refused:
        return None
    return Known(user_id, anonymous_id)


def _moment(message: Fields, sent_at: str | None, received_ms: int) -> object:
    """Find when it happened; a device that says when it sent, by its clock, gets that corrected.

    `timestamp` is what a server or an import says and is taken as it is, also where the library
    adds when it was called, as `originalTimestamp`.
    """
    moment = message.get("timestamp")
    if moment:
        return round(moment) if isinstance(moment, float) else moment
    original = message.get("originalTimestamp")
    sent = text(message.get("sentAt")) or sent_at
    if isinstance(original, str) and sent is not None:
        try:
            happened, left = datetime.fromisoformat(original), datetime.fromisoformat(sent)
            return received_ms - round((left - happened).total_seconds() * 1000)
        except (ValueError, TypeError):
            pass
    return original or None


def _id_of(message: Fields, received_ms: int, key: bytes) -> str:
    own = text(message.get("messageId"))
    if own is not None:
        return own
    has_moment = bool(message.get("timestamp") or message.get("originalTimestamp"))
    return digest("segment", message, None if has_moment else received_ms, key=key)
