"""Ids with slashes in an address: a document that was made with one can be read, killed, deleted.

A new document may have no slash in its id (`service.control.page_ids`), but older ones do. Servers
decode the whole path before a route is looked for, so `a%2Fb` would be two parts of it. Here each
such slash travels past the router as a sign that no id of a document can hold.
"""

from __future__ import annotations

import re
from typing import Any, cast
from urllib.parse import unquote

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import HTTPScope

_SLASH = re.compile("%2f", re.IGNORECASE)
_SIGN = "\ufffd"
"""What stands for bytes that are no UTF-8, which `check_path_id` refuses in every such address."""
_HELD = "endcap_slashes_held"
_DOCUMENTS = re.compile(
    "/v1/(placements|banners|rules|rollouts|layers|segments)/"
    "|/console/(placements|banners|rules|rollouts|layers)/"
    "|/ofrep/v1/evaluate/flags/"
)


def hold_slashes(scope: HTTPScope) -> HTTPScope:
    """Return the request as the router is to see it: encoded slashes of document ids are held."""
    path = scope["path"]
    if _DOCUMENTS.match(path) is None:
        return scope
    encoded = scope["raw_path"].partition(b"?")[0].decode("latin-1")
    if _SLASH.search(encoded) is None or _SIGN in path:
        return scope
    held = {**scope, "path": unquote(_SLASH.sub(_SIGN, encoded)), _HELD: True}
    return cast("HTTPScope", held)


def put_slashes_back(scope: Any) -> None:
    """Give a request that the router has seen its slashes again, in the path and its parameters."""
    if not scope.pop(_HELD, False):
        return
    scope["path"] = scope["path"].replace(_SIGN, "/")
    # A new one: the router keeps those that it has found for the next request.
    scope["path_params"] = {
        name: value.replace(_SIGN, "/") if isinstance(value, str) else value
        for name, value in scope.get("path_params", {}).items()
    }


async def put_slashes_back_first(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """Do so before anything reads the request; a guard, for those are heard first."""
    put_slashes_back(connection.scope)
