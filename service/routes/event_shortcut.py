"""The short way for events: ``POST /v1/events`` without a framework, where every event is right.

An ordinary body is one event or an array, plain JSON, all of it stored as it stands. A body with
one wrong event, in another form or with anything to say in its query is Litestar's route's, which
hears it from its beginning. So every refusal is made in one place.
"""

from __future__ import annotations

import asyncio

import msgspec
from litestar import Litestar
from litestar.types import HTTPScope, Receive, Send

from models.events import Event
from service.intake.body import at_most
from service.intake.identify import store_form
from service.middleware.access import is_server
from service.protocol.event_protocol import Done
from service.protocol.known_heads import EVENTS, Request
from service.protocol.sender import is_plain_json, user_agent_of
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

    def knows(self, request: Request) -> bool:
        """Say whether `begin` might take in a request with this head."""
        return self._hear(request) is not None

    def begin(self, request: Request, done: Done) -> bool:
        """Take events in; once they are on disk, `done` is called in the event loop.

        It is given the answer, or why there is none: then the route is to say so, which does not
        try again. False if the request is not ordinary; nothing is done then.
        """
        heard = self._hear(request)
        if heard is None or len(heard.body) > heard.services.settings.body_limit_bytes:
            return False
        try:
            events = _right_events(heard, request.sender.user_agent or "")
            if not events:
                return False
            stored = heard.services.intake.events.enter(events, n_received=len(events))
        except Exception:  # whatever it is, the route meets it again and says so
            return False
        stored.add_done_callback(lambda stored: _tell(events, stored, done))
        return True

    def _hear(self, request: Request) -> Heard | None:
        sender = request.sender
        if request.target != EVENTS or sender.user_agent is None or sender.key_digest is None:
            return None
        services = self._door.services(has_origin=sender.has_origin)
        if services is None:
            return None
        principal = services.current.find_principal(sender.key_digest)
        return None if principal is None else Heard(services, principal, (), request.body)

    async def take(self, scope: HTTPScope, receive: Receive, send: Send) -> Receive | None:
        """Answer once the events are on disk, or return a `receive` that begins anew."""
        message = await receive()
        try:
            heard = None if scope["query_string"] else self._door.hear(scope["headers"], message)
            events = [] if heard is None else _ordinary_events(heard)
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


def _right_events(heard: Heard, user_agent: str) -> list[StoredEvent]:
    """Return what is to be stored; nothing, or an exception, if the body is not ordinary."""
    body = heard.body
    if body[:1] == b"{":
        decoded = [_decode_event(body)]
    elif body[:1] == b"[":
        decoded = at_most(_decode_events(body))
    else:
        return []
    services = heard.services
    received_ms, pseudonymiser = services.now_ms(), services.pseudonymiser
    is_by_server = is_server(heard.principal)
    return [
        store_form(
            event,
            pseudonymiser=pseudonymiser,
            received_ms=received_ms,
            user_agent=user_agent,
            is_by_server=is_by_server,
        )
        for event in decoded
    ]


def _ordinary_events(heard: Heard) -> list[StoredEvent]:
    if not is_plain_json(heard.headers):
        return []
    return _right_events(heard, user_agent_of(heard.headers))


def _tell(events: list[StoredEvent], stored: asyncio.Future[list[bool]], done: Done) -> None:
    failure = stored.exception()
    if failure is not None:
        done(None, failure)
        return
    body = _encode(verdicts_of(events, stored.result()))
    done((b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body), body), None)
