"""What the short ways around the framework share: who is let in, and how a request is given back.

A short way answers ordinary requests: a good key, a whole body within the limit, nothing to say to
a page of another origin. At the first thing out of the ordinary it gives up without having done
anything, and Litestar's route, which also describes the API, hears the request from its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from litestar import Litestar
from litestar.types import Message, Receive

from service.control.keys import Principal
from service.middleware.access import Headers, find_principal
from service.services import STATE_KEY, Services

JSON = (b"content-type", b"application/json")


class Heard(NamedTuple):
    """A request that is ordinary so far."""

    services: Services
    principal: Principal
    headers: Headers
    body: bytes


class Door:
    """Looks at what every ordinary request has."""

    def __init__(self, app: Litestar, *, has_cors: bool) -> None:
        self._app = app
        self._has_cors = has_cors

    def services(self, *, has_origin: bool) -> Services | None:
        """Return the app's services once it has started, unless a page of another origin asks."""
        services: Services | None = self._app.state.get(STATE_KEY)
        return None if has_origin and self._has_cors else services

    def hear(self, headers: Headers, message: Mapping[str, Any]) -> Heard | None:
        """Return a request whose body is whole and within the limit, and whose key is good."""
        if message["type"] != "http.request" or message["more_body"]:
            return None
        services = self.services(has_origin=any(name == b"origin" for name, _ in headers))
        body: bytes = message["body"]
        if services is None or len(body) > services.settings.body_limit_bytes:
            return None
        principal = find_principal(services, headers)
        return None if principal is None else Heard(services, principal, headers, body)


def replay(first: Any, receive: Receive) -> Receive:
    """Give a message that was taken once more, then those that follow."""
    waiting: list[Message] = [first]

    async def again() -> Any:
        return waiting.pop() if waiting else await receive()

    return again
