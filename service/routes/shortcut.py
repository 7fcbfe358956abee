"""The short way to a page: ``POST /v1/serve`` and ``GET /v1/placements/{id}`` without a framework.

It answers the ordinary request: a good key, a whole body within the limit, nothing to explain. At
the first thing out of the ordinary it gives up without having done anything, and Litestar's route
of the same name, which also describes the API, hears the request from its beginning. So every
refusal is made in one place. What it saves is measured in docs/adr/0010-hot-path.md.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from litestar import Litestar
from litestar.types import HTTPScope, Message, Receive, Send

from service.access import find_principal
from service.control.keys import Principal
from service.known_heads import Request
from service.routes.answer import answer_page, answer_page_at_once
from service.routes.placement_query import PREFIX, read_target
from service.serve.request import ServeRequest
from service.serve.stages import Stopwatch
from service.services import STATE_KEY, Services

METHOD, PATH = "POST", "/v1/serve"
PLACEMENT = "GET", "/v1/placements/{placement_id}"

_decode = msgspec.json.Decoder(ServeRequest).decode
_JSON = (b"content-type", b"application/json")
_PAGE_TARGET = PATH.encode()

Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """What is sent with status 200, and the route that it counts for."""

    lines: bytes
    """The headers, each with its end."""
    body: bytes
    method: str
    route: str


class PageShortcut:
    """Answers pages; `take` says what is left to do by others."""

    def __init__(self, app: Litestar, *, has_cors: bool) -> None:
        self._app = app
        self._has_cors = has_cors

    def at_once(self, request: Request) -> Answer | None:
        """Answer a request of either kind, or return nothing if that is not possible right now."""
        watch = Stopwatch()
        method, target, sender, body = request
        services: Services | None = self._app.state.get(STATE_KEY)
        if services is None or sender.key_digest is None or (self._has_cors and sender.has_origin):
            return None
        route = (METHOD, PATH)
        try:
            if method == b"POST" and target == _PAGE_TARGET:
                if len(body) > services.settings.body_limit_bytes:
                    return None
                asked: ServeRequest | None = _decode(body)
            elif method == b"GET" and target.startswith(PREFIX) and not body:
                asked, route = read_target(target), PLACEMENT
            else:
                return None
            principal = services.current.find_principal(sender.key_digest)
            if asked is None or principal is None or asked.options.is_for_merchandisers:
                return None
            watch.lap()
            page = answer_page_at_once(services, asked, watch, sender)
        except Exception:  # whatever it is, the route meets it again and says so
            return None
        return None if page is None else Answer(_lines(page, principal, watch), page, *route)

    async def take(self, scope: HTTPScope, receive: Receive, send: Send) -> Receive | None:
        """Answer a whole page and return nothing, or return a `receive` that begins anew."""
        watch = Stopwatch()
        message = await receive()
        services: Services | None = self._app.state.get(STATE_KEY)
        if services is None or message["type"] != "http.request" or message["more_body"]:
            return _replay(message, receive)
        body, headers = message["body"], scope["headers"]
        if len(body) > services.settings.body_limit_bytes:
            return _replay(message, receive)
        if self._has_cors and _has_origin(headers):
            return _replay(message, receive)
        try:
            principal = find_principal(services, headers)
            asked = _decode(body)
            if principal is None or asked.options.is_for_merchandisers:
                return _replay(message, receive)
            watch.lap()
            answer = await answer_page(services, asked, watch, headers)
        except Exception:  # whatever it is, the route meets it again and says so
            return _replay(message, receive)
        sent = _headers(answer, principal, watch)
        await send({"type": "http.response.start", "status": 200, "headers": sent})
        await send({"type": "http.response.body", "body": answer, "more_body": False})
        return None


def _headers(body: bytes, principal: Principal, watch: Stopwatch) -> Headers:
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    if principal.may("merchandiser"):
        headers.append((b"server-timing", watch.server_timing().encode()))
    return headers


def _lines(body: bytes, principal: Principal, watch: Stopwatch) -> bytes:
    lines = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    if principal.may("merchandiser"):
        lines += b"server-timing: %b\r\n" % watch.server_timing().encode()
    return lines


def _has_origin(headers: Any) -> bool:
    return any(name == b"origin" for name, _ in headers)


def _replay(first: Any, receive: Receive) -> Receive:
    """Give a message that was taken once more, then those that follow."""
    waiting: list[Message] = [first]

    async def again() -> Any:
        return waiting.pop() if waiting else await receive()

    return again
