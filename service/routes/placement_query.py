"""The query of ``GET /v1/placements/{id}``: the same request as a body of ``POST /v1/serve``."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus, unquote_to_bytes

import msgspec

from service.middleware.problems import BodyError, FieldError
from service.serve.request import Context, Options, PlacementRequest, ServeRequest, User

PREFIX = b"/v1/placements/"

_LISTS = ("item_ids", "exclude_item_ids")
_NUMBERS = ("count", "deadline_ms")
_HOMES = {
    **dict.fromkeys(("user_id", "anonymous_id", "session_id"), "user"),
    **dict.fromkeys(("country", "channel", "platform", "page", "item_ids"), "context"),
    "deadline_ms": "options",
}
"""The part of the body that a parameter belongs to; the others are the placement's."""
_TEXTS = frozenset(_HOMES) - {*_LISTS, *_NUMBERS}


def request_of(placement_id: str, query: dict[str, Any]) -> ServeRequest:
    """Hold a query to the rules of the body, and name its parameter in the refusal."""
    parts: dict[str, Any] = {}
    asked: dict[str, dict[str, Any]] = {
        "user": {name: query.get(name) for name in ("user_id", "anonymous_id", "session_id")},
        "context": {name: query.get(name) for name in ("country", "channel", "platform", "page")},
        "options": {
            "deadline_ms": query.get("deadline_ms"),
            "explain": query.get("explain", False),
        },
    }
    asked["user"]["consent"] = query.get("consent", True)
    asked["context"]["item_ids"] = query.get("item_ids") or []
    placement = {
        "id": placement_id,
        "count": query.get("count"),
        "exclude_item_ids": query.get("exclude_item_ids") or [],
    }
    types = {"user": User, "context": Context, "options": Options}
    try:
        for name, kind in types.items():
            parts[name] = msgspec.convert(asked[name], kind)
        parts["placements"] = (msgspec.convert(placement, PlacementRequest),)
    except msgspec.ValidationError as error:
        rule, _, place = str(error).partition(" - at `$")
        path = f"query{place.rstrip('`')}"
        raise BodyError(
            f"{path}: {rule}; see /schema", (FieldError(path=path, message=rule),)
        ) from error
    return ServeRequest(**parts)


def check_encoding(query: bytes) -> None:
    """Refuse a query whose bytes are no UTF-8: the framework makes one sign of all of them.

    Raises
    ------
    BodyError
        If it is not; different ids would become one.
    """
    if query.isascii() and b"%" not in query:
        return
    for pair in query.split(b"&"):
        try:
            unquote_to_bytes(pair).decode()
        except UnicodeDecodeError as error:
            name = pair.partition(b"=")[0][:40].decode("ascii", "replace")
            path, rule = f"query.{name}", "it is not valid UTF-8; percent-encode UTF-8 bytes"
            raise BodyError(f"{path}: {rule}", (FieldError(path=path, message=rule),)) from error


def read_target(target: bytes) -> ServeRequest | None:
    """Read an ordinary address; nothing if the framework has to look at it.

    Raises
    ------
    msgspec.ValidationError, UnicodeError
        If the framework would refuse it too.
    """
    path, _, query = target.partition(b"?")
    placement_id = path[len(PREFIX) :].decode("ascii")
    if not placement_id or "/" in placement_id or "%" in placement_id or b"#" in target:
        return None
    parts: dict[str, dict[str, Any]] = {"user": {}, "context": {}, "options": {}}
    placement: dict[str, Any] = {"id": placement_id}
    for pair in query.decode("ascii").split("&") if query else ():
        name, _, value = pair.partition("=")
        if "%" in value or "+" in value:
            value = unquote_plus(value, errors="strict")
        home = _HOMES.get(name)
        into = placement if home is None else parts[home]
        if name in _LISTS:
            into.setdefault(name, []).append(value)
        elif name in into:
            return None
        elif name in _TEXTS:
            into[name] = value
        elif name in _NUMBERS and value.isdecimal():
            into[name] = int(value)
        else:
            return None
    return msgspec.convert({**parts, "placements": (placement,)}, ServeRequest)
