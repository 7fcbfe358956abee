"""From decoded events to verdicts: every route that takes events in ends here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar.types import HTTPScope
from msgspec import Meta

from models.plural import plural
from service.intake.body import Arrival, WrongEvent
from service.intake.identify import FieldError as WrongFieldError
from service.intake.identify import store_form
from service.intake.messages import Ignored
from service.middleware.access import is_server, principal_of
from service.middleware.problems import BodyError, FieldError
from service.routes.documents import AnyRequest
from service.services import services_of
from service.stores.events import StoredEvent

MAX_SHOWN_ERRORS = 20
"""Mistakes that a refusal lists."""

_FAILURE = "events_not_stored"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event."""

    event_id: Annotated[str | None, Meta(description="as sent; null if it could not be read")]
    status: Annotated[
        Literal["accepted", "duplicate", "rejected", "ignored"],
        Meta(
            description="stored now; stored before, and not again; wrong, and not stored; nothing "
            "that Endcap keeps"
        ),
    ]
    path: Annotated[str | None, Meta(description="where the mistake is: `$[3].price`")] = None
    message: Annotated[str | None, Meta(description="which rule is broken, or why ignored")] = None


class Verdicts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a body's events; `received` is accepted, duplicate and rejected together."""

    received: int
    accepted: int
    duplicate: int
    rejected: int
    ignored: Annotated[
        int, Meta(description="calls of a client library that say nothing Endcap keeps")
    ] = 0
    events: Annotated[
        list[Verdict], Meta(description="in the order in which they came, ignored calls last")
    ]


async def take_in(
    request: AnyRequest,
    arrivals: Sequence[Arrival],
    ignored: Sequence[Ignored] = (),
    *,
    sent_ms: int | None = None,
) -> Verdicts:
    """Store what is right, once it is on disk, and say what became of each.

    `sent_ms` is when the body was sent, by the clock that gave the events their timestamps.

    Raises
    ------
    BodyError
        If there were events or calls and all of them are wrong.
    """
    failure = request.scope["state"].pop(_FAILURE, None)
    if failure is not None:
        raise failure
    services = services_of(request)
    judged = _identify(request, arrivals, sent_ms)
    fresh = [event for event in judged if isinstance(event, StoredEvent)]
    is_new = await services.intake.events.submit(
        fresh, n_received=len(judged), n_rejected=len(judged) - len(fresh)
    )
    services.metrics.count_ignored(len(ignored))
    if judged and not fresh and not ignored:
        raise _nothing_stored([event for event in judged if isinstance(event, WrongEvent)])
    return verdicts_of(judged, is_new, ignored)


def verdicts_of(
    judged: Sequence[StoredEvent | WrongEvent],
    is_new: Iterable[bool],
    ignored: Sequence[Ignored] = (),
) -> Verdicts:
    """Say what became of each event; `is_new` is of those that were stored."""
    told = iter(is_new)
    verdicts = [
        Verdict(event_id=event.event_id, status="accepted" if next(told) else "duplicate")
        if isinstance(event, StoredEvent)
        else Verdict(
            event_id=event.event_id, status="rejected", path=event.path, message=event.message
        )
        for event in judged
    ]
    n_accepted = sum(verdict.status == "accepted" for verdict in verdicts)
    n_rejected = sum(verdict.status == "rejected" for verdict in verdicts)
    verdicts += [
        Verdict(event_id=each.event_id, status="ignored", path=each.path, message=each.reason)
        for each in ignored
    ]
    return Verdicts(
        received=len(judged),
        accepted=n_accepted,
        duplicate=len(judged) - n_accepted - n_rejected,
        rejected=n_rejected,
        ignored=len(ignored),
        events=verdicts,
    )


def note_failure(scope: HTTPScope, failure: BaseException) -> None:
    """Remember that the events of a request were tried and not stored, for `take_in` to say."""
    state: dict[str, Any] = scope["state"]
    state[_FAILURE] = failure


def _identify(
    request: AnyRequest, arrivals: Sequence[Arrival], sent_ms: int | None
) -> list[StoredEvent | WrongEvent]:
    services = services_of(request)
    user_agent = request.headers.get("user-agent", "")
    is_by_server = is_server(principal_of(request))
    received_ms = services.now_ms()
    behind_ms = 0 if sent_ms is None else received_ms - sent_ms
    judged: list[StoredEvent | WrongEvent] = []
    for path, event in arrivals:
        if isinstance(event, WrongEvent):
            judged.append(event)
            continue
        try:
            judged.append(
                store_form(
                    event,
                    pseudonymiser=services.pseudonymiser,
                    received_ms=received_ms,
                    user_agent=user_agent,
                    behind_ms=behind_ms,
                    is_by_server=is_by_server,
                )
            )
        except WrongFieldError as error:
            judged.append(WrongEvent(event.event_id, f"{path}.{error.name}", error.message))
    return judged


def _nothing_stored(wrong: list[WrongEvent]) -> BodyError:
    first, n_more = wrong[0], len(wrong) - 1
    are_wrong = f"{plural(n_more, 'more event')} {'is' if n_more == 1 else 'are'} wrong"
    rest = f", and {are_wrong}" if n_more else ""
    return BodyError(
        f"no event was stored: {first.path}: {first.message}{rest}; see /schema",
        tuple(
            FieldError(path=event.path, message=event.message) for event in wrong[:MAX_SHOWN_ERRORS]
        ),
    )
