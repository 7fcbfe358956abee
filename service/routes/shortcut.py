"""The short way to a page: ``POST /v1/serve`` and ``GET /v1/placements/{id}`` without a framework.

It answers the ordinary request, one with nothing to explain, and leaves the others to Litestar's
route of the same name, so that every refusal is made in one place; `service.routes.short_way` says
what is ordinary. What it saves is measured in docs/adr/0010-hot-path.md.
"""

from __future__ import annotations

import msgspec
from litestar import Litestar
from litestar.types import HTTPScope, Receive, Send

from service.control.keys import Principal
from service.protocol.known_heads import Request
from service.routes.answer import answer_page, answer_page_at_once
from service.routes.placement_query import PREFIX, read_target
from service.routes.short_way import JSON, Door, replay
from service.serve.request import ServeRequest
from service.telemetry.stages import Stopwatch

METHOD, PATH = "POST", "/v1/serve"
PLACEMENT = "GET", "/v1/placements/{placement_id}"

_decode = msgspec.json.Decoder(ServeRequest).decode
_PAGE_TARGET = PATH.encode()

Headers = list[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What is sent with status 200, and the route that it counts for."""

    lines: bytes
    """The headers, each with its end."""
    body: bytes
    method: str
    route: str


class PageShortcut:
    """Answers pages; `take` says what is left to do by others."""

    path = PATH
    status = 200

    def __init__(self, app: Litestar, *, has_cors: bool) -> None:
        self._door = Door(app, has_cors=has_cors)

    def at_once(self, request: Request) -> Answer | None:
        """Answer a request of either kind, or return nothing if that is not possible right now."""
        watch = Stopwatch()
        method, target, sender, body = (
            request.method,
            request.target,
            request.sender,
            request.body,
        )
        services = self._door.services(has_origin=sender.has_origin)
        if services is None or sender.key_digest is None:
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
            if asked is None or principal is None or not _may(principal, asked):
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
        try:
            heard = self._door.hear(scope["headers"], message)
            asked = None if heard is None else _decode(heard.body)
            if heard is None or asked is None or not _may(heard.principal, asked):
                return replay(message, receive)
            watch.lap()
            answer = await answer_page(heard.services, asked, watch, heard.headers)
        except Exception:  # whatever it is, the route meets it again and says so
            return replay(message, receive)
        sent = _headers(answer, heard.principal, watch)
        await send({"type": "http.response.start", "status": 200, "headers": sent})
        await send({"type": "http.response.body", "body": answer, "more_body": False})
        return None


def _may(principal: Principal, asked: ServeRequest) -> bool:
    """Say whether any key of a page may ask for this, and whether this is one."""
    return principal.may("publishable") and not asked.options.is_for_merchandisers


def _headers(body: bytes, principal: Principal, watch: Stopwatch) -> Headers:
    headers = [JSON, (b"content-length", b"%d" % len(body))]
    if principal.may("merchandiser"):
        headers.append((b"server-timing", watch.server_timing().encode()))
    return headers


def _lines(body: bytes, principal: Principal, watch: Stopwatch) -> bytes:
    lines = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    if principal.may("merchandiser"):
        lines += b"server-timing: %b\r\n" % watch.server_timing().encode()
    return lines
