"""HEAD wherever GET only reads: caches, monitors and link checkers ask so. Answered as GET is.

Litestar has a handler a method, and one for HEAD may return no body whose length it could tell.
"""

from __future__ import annotations

from typing import cast

from litestar.types import HTTPScope, Message, Send

_SERVED = "/v1/placements/"
_SHOP = "/demo"


def takes_head(path: str) -> bool:
    """Tell whether asking for the head is answered; not where GET shows somebody a slate."""
    is_slate = path.startswith(_SERVED) and "/" not in path[len(_SERVED) :].rstrip("/")
    return not (is_slate or path == _SHOP or path.startswith(f"{_SHOP}/"))


def as_get(scope: HTTPScope) -> HTTPScope:
    """Return the request for what HEAD asks the head of; the server goes on with its own."""
    return cast("HTTPScope", {**scope, "method": "GET"})


def without_body(send: Send) -> Send:
    """Send the head, and end there: a stream hears that its client has left."""

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_head
