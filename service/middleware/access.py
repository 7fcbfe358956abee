"""Who may do what: one guard on every route, which reads the scope that the route declares.

A route without ``opt=needs(...)`` is for admins only; what is open says so with ``opt=OPEN``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from litestar.connection import ASGIConnection, Request
from litestar.handlers import BaseRouteHandler

from models.errors import AccessError, InputError, KeyMissingError
from service.control.keys import Principal, Scope, digest_of
from service.intake.body import BodySizeError, unpack
from service.intake.messages import read_field
from service.middleware.nul_signs import refuse_nul
from service.services import Services, services_of

Headers = Iterable[tuple[bytes, bytes]]

OPEN: dict[str, Any] = {"scope": None}
"""For a route that answers without a key."""

TICKETS: dict[str, Any] = {"tickets": True}
"""Beside `needs`, for a route that takes a ticket in the query where a key cannot be sent."""

_OPT = "scope"


def beacons(parameter: str) -> dict[str, Any]:
    """Declare, beside `needs`, that the key may come in the address: a beacon sends no header.

    The parameter is one of the path, else of the query. Addresses end up in logs, so only a
    publishable key is taken there. A known key in a header comes before it.
    """
    return {"key_parameter": parameter}


def bodies(name: str) -> dict[str, Any]:
    """Declare, beside `needs`, that the key may stand under a `name` in the body, a JSON object.

    Libraries on devices send it there alone. It is looked for where no header has a key.
    """
    return {"key_in_body": name}


def needs(scope: Scope) -> dict[str, Any]:
    """Declare the scope of a route: ``@get(..., opt=needs("merchandiser"))``."""
    return {_OPT: scope}


def scope_of(handler: BaseRouteHandler) -> Scope | None:
    """Return the scope that a route needs, or nothing if it is open."""
    scope: Scope | None = handler.opt.get(_OPT, "admin")
    return scope


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse a request whose key is missing, unknown, revoked or lacks the route's scope.

    One that is let in is refused for a NUL in its address.

    It waits for nothing but a body that may hold the key. Litestar would run a guard that is no
    coroutine in a thread.
    """
    scope = scope_of(handler)
    if scope is None:
        return
    principal = (
        (_by_ticket(connection) if handler.opt.get("tickets") else None)
        or _by_query(connection, handler.opt.get("key_parameter"))
        or await _by_body(connection, handler.opt.get("key_in_body"))
        or authenticate(connection)
    )
    if not principal.may(scope):
        raise AccessError(
            f"key {principal.key_id} has the scope {principal.scope!r}; this route needs "
            f"{scope!r}; make a key with 'endcap keys create --scope {scope}'"
        )
    connection.scope["user"] = principal
    refuse_nul(connection)


def authenticate(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """Find whom the request's key belongs to."""
    key = key_of(connection.scope["headers"])
    if key is None:
        raise KeyMissingError(
            "the request carries no key; send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'; "
            "make one with 'endcap keys create'"
        )
    return _owner(connection, key)


def principal_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """Return whom the guard let in."""
    principal = connection.scope["user"]
    assert isinstance(principal, Principal)
    return principal


def is_server(principal: Principal) -> bool:
    """Say whether a key is kept from the shop's pages, in which a publishable one stands."""
    return principal.scope != "publishable"


def _owner(connection: ASGIConnection[Any, Any, Any, Any], key: str) -> Principal:
    principal = services_of(connection).current.find_principal(digest_of(key))
    if principal is None:
        raise KeyMissingError(
            "the key is unknown or revoked; make one with 'endcap keys create' "
            "or look with 'endcap keys list'"
        )
    return principal


def _by_query(
    connection: ASGIConnection[Any, Any, Any, Any], parameter: str | None
) -> Principal | None:
    if not parameter:
        return None
    key = connection.path_params.get(parameter) or connection.query_params.get(parameter)
    if not key:
        return None
    services = services_of(connection)
    principal = services.current.find_principal(digest_of(key))
    if principal is not None and is_server(principal):
        raise AccessError(
            f"key {principal.key_id} has the scope {principal.scope!r} and came in the address, "
            f"where logs keep it; revoke it with 'endcap keys revoke {principal.key_id}', and "
            "send a new one in a header, 'X-API-Key: KEY'; in the address send a publishable key"
        )
    # The parameter may be another product's secret, and the header that of a proxy before us.
    return find_principal(services, connection.scope["headers"]) or _owner(connection, key)


async def _by_body(
    connection: ASGIConnection[Any, Any, Any, Any], name: str | None
) -> Principal | None:
    if name is None or key_of(connection.scope["headers"]) is not None:
        return None
    assert isinstance(connection, Request)
    body, limit = await connection.body(), services_of(connection).settings.body_limit_bytes
    try:
        key = read_field(unpack(body, limit), name)
    except BodySizeError:
        raise
    except InputError:  # whoever shows no key is told that, and nothing of the body
        return None
    return _owner(connection, key) if isinstance(key, str) and key else None


def _by_ticket(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
    ticket = connection.query_params.get("ticket")
    if ticket is None:
        return None
    services = services_of(connection)
    key_id = services.tickets.check(ticket, services.now_ms())
    principal = None if key_id is None else services.current.find_key(key_id)
    if principal is None:
        raise KeyMissingError("the ticket is unknown or too old; evaluate all flags for a new one")
    return principal


def find_principal(services: Services, headers: Headers) -> Principal | None:
    """Return whom the key in some headers belongs to, if there is one and it is known."""
    key = key_of(headers)
    return None if key is None else services.current.find_principal(digest_of(key))


def key_of(headers: Headers) -> str | None:
    """Return the key in some headers, whose names are in small letters: `X-API-Key` comes first.

    A browser sends the password of a proxy before us as `Authorization` by itself.
    """
    authorised = None
    for name, value in headers:
        if name == b"x-api-key":
            return value.decode("latin-1").strip()
        if name == b"authorization":
            authorised = authorised or _credential(value.decode("latin-1"))
    return authorised


def _credential(value: str) -> str | None:
    scheme, _, key = value.partition(" ")
    if scheme.lower() == "bearer":
        return key.strip() or None
    return (_user_name(key) or None) if scheme.lower() == "basic" else None


def _user_name(credentials: str) -> str:
    """Read the key that a client of Segment or RudderStack sends as the user of Basic auth."""
    try:
        decoded = base64.b64decode(credentials, validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[0]
