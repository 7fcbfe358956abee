"""The short way to a page: ``POST /v1/serve`` without the framework around it.

It answers the ordinary request: a good key, a whole body within the limit, nothing to explain. At
the first thing out of the ordinary it gives up without having done anything, and Litestar's route
of the same name, which also describes the API, hears the request from its beginning. So every
refusal is made in one place. What it saves is measured in docs/adr/0010-hot-path.md.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Litestar
from litestar.types import HTTPScope, Message, Receive, Send

from service.access import find_principal
from service.routes.answer import answer_page
from service.serve.request import ServeRequest
from service.serve.stages import Stopwatch
from service.services import STATE_KEY, Services

METHOD, PATH = "POST", "/v1/serve"

_decode = msgspec.json.Decoder(ServeRequest).decode
_JSON = (b"content-type", b"application/json")


class PageShortcut:
    """Answers pages; `take` says what is left to do by others."""

    def __init__(self, app: Litestar, *, has_cors: bool) -> None:
        self._app = app
        self._has_cors = has_cors

    async def take(self, scope: HTTPScope, receive: Receive, send: Send) -> Receive | None:
        """Answer the request and return nothing, or return a `receive` that begins anew."""
        watch = Stopwatch()
        message = await receive()
        services: Services | None = self._app.state.get(STATE_KEY)
        if services is None or message["type"] != "http.request" or message["more_body"]:
            return _replay(message, receive)
        body = message["body"]
        if len(body) > services.settings.body_limit_bytes or (self._has_cors and _origin(scope)):
            return _replay(message, receive)
        try:
            principal = find_principal(services, scope["headers"])
            asked = _decode(body)
            if principal is None or asked.options.is_for_merchandisers:
                return _replay(message, receive)
            watch.lap()
            answer = await answer_page(services, asked, watch, scope["headers"])
        except Exception:  # whatever it is, the route meets it again and says so
            return _replay(message, receive)
        headers = [_JSON, (b"content-length", b"%d" % len(answer))]
        if principal.may("merchandiser"):
            headers.append((b"server-timing", watch.server_timing().encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer, "more_body": False})
        return None


def _origin(scope: HTTPScope) -> bool:
    return any(name == b"origin" for name, _ in scope["headers"])


def _replay(first: Any, receive: Receive) -> Receive:
    """Give a message that was taken once more, then those that follow."""
    waiting: list[Message] = [first]

    async def again() -> Any:
        return waiting.pop() if waiting else await receive()

    return again
