"""The short way for events: ``POST /v1/events`` without a framework, where every event is right.

An ordinary body is one event or an array, plain JSON, all of it stored as it stands. A body with
one wrong event, in another form or with anything to say in its query is Litestar's route's, which
hears it from its beginning. So every refusal is made in one place.
"""

from __future__ import annotations

import msgspec
from litestar import Litestar
from litestar.types import HTTPScope, Receive, Send

from models.events import Event
from service.access import Headers
from service.intake.body import at_most
from service.intake.identify import store_form
from service.routes.short_way import JSON, Door, Heard, replay
from service.routes.verdicts import note_failure, verdicts_of
from service.stores.events import StoredEvent

_decode_event = msgspec.json.Decoder(Event).decode
_decode_events = msgspec.json.Decoder(list[Event]).decode
_encode = msgspec.json.Encoder().encode


class EventShortcut:
    """Takes right events in; `take` says what is left to do by others."""

    path = "/v1/events"
    status = 202

    def __init__(self, app: Litestar, *, has_cors: bool) -> None:
        self._door = Door(app, has_cors=has_cors)

    async def take(self, scope: HTTPScope, receive: Receive, send: Send) -> Receive | None:
        """Answer once the events are on disk, or return a `receive` that begins anew."""
        message = await receive()
        try:
            heard = None if scope["query_string"] else self._door.hear(scope["headers"], message)
            events = [] if heard is None else _right_events(heard)
        except Exception:  # whatever it is, the route meets it again and says so
            return replay(message, receive)
        if heard is None or not events:
            return replay(message, receive)
        try:
            is_new = await heard.services.intake.events.submit(events, n_received=len(events))
        except Exception as error:  # nothing was stored; the route does not try again, and says so
            note_failure(scope, error)
            return replay(message, receive)
        body = _encode(verdicts_of(events, is_new))
        headers = [JSON, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return None


def _right_events(heard: Heard) -> list[StoredEvent]:
    """Return what is to be stored; nothing, or an exception, if the body is not ordinary."""
    user_agent = _user_agent(heard.headers)
    if user_agent is None:
        return []
    if heard.body[:1] == b"{":
        decoded = [_decode_event(heard.body)]
    elif heard.body[:1] == b"[":
        decoded = at_most(_decode_events(heard.body))
    else:
        return []
    services = heard.services
    received_ms, pseudonymiser = services.now_ms(), services.pseudonymiser
    return [
        store_form(
            event, pseudonymiser=pseudonymiser, received_ms=received_ms, user_agent=user_agent
        )
        for event in decoded
    ]


def _user_agent(headers: Headers) -> str | None:
    """Return what the client calls itself; nothing if the headers speak of another form."""
    found = ""
    for name, value in headers:
        if name == b"user-agent":
            found = found or value.decode("latin-1")
        elif (
            name == b"content-type" and not value.startswith(b"application/json")
        ) or name.startswith(b"ce-"):
            return None
    return found
