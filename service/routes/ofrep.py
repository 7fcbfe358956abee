"""Flags over the OpenFeature remote evaluation protocol (OFREP) 0.3.0: one flag, or all of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, Router, post
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)
from litestar.params import HeaderParameter, QueryParameter

from models.errors import IdError
from models.ids import check_id, list_known
from service.control.changes import revision_of
from service.intake.consents import is_yes
from service.middleware.access import needs, principal_of
from service.rollouts.flags import FlagAnswer, Metadata, answer_flag
from service.rollouts.visitor import Visitor
from service.routes.documents import AnyRequest, PathId
from service.routes.etags import has_already
from service.routes.ofrep_failures import FAILURES, HANDLERS, ContextError
from service.services import Services, services_of

INACTIVITY_S = 120
MAX_LISTED = 1_000
"""Values of a list in a context: each audience that asks for it may look at all of them."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream is, below the origin that the provider is configured with."""

    request_uri: str = msgspec.field(name="requestUri")


class EventStream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream of changes that the client may listen to instead of polling."""

    type: Literal["sse"] = "sse"
    endpoint: Endpoint
    inactivity_s: int = msgspec.field(name="inactivityDelaySec", default=INACTIVITY_S)


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """All flags for one context, by key."""

    flags: list[FlagAnswer]
    metadata: Metadata
    event_streams: list[EventStream] = msgspec.field(name="eventStreams")


@dataclass
class Evaluation(Operation):
    """Describes the body, which handlers read themselves, so that mistakes get OFREP's words."""

    def __post_init__(self) -> None:
        context = Schema(
            type=OpenAPIType.OBJECT,
            required=["targetingKey"],
            properties={"targetingKey": Schema(type=OpenAPIType.STRING)},
            additional_properties=True,
            description="who is asked about, and whatever audiences ask",
        )
        body = Schema(
            type=OpenAPIType.OBJECT, required=["context"], properties={"context": context}
        )
        self.request_body = RequestBody({"application/json": OpenAPIMediaType(body)}, required=True)


@post(
    "/{key:str}",
    status_code=200,
    operation_id="evaluateFlag",
    summary="Evaluate one flag (OFREP)",
    operation_class=Evaluation,
    responses=FAILURES,
)
async def evaluate_flag(request: AnyRequest, key: PathId) -> Response[FlagAnswer]:
    """Evaluate one flag for the context of the body."""
    services = services_of(request)
    visitor = await _visitor(services, _context(await request.body()))
    rollouts = services.current.get().rollouts
    rollout = rollouts.get(key)
    if rollout is None:
        raise ContextError(
            "FLAG_NOT_FOUND",
            f"flag {key[:80]!r} is not configured; {list_known(rollouts)}; "
            "add it with PUT /v1/rollouts/…",
        )
    return Response(answer_flag(rollout, visitor))


@post(
    status_code=200,
    operation_id="evaluateFlags",
    summary="Evaluate all flags (OFREP)",
    operation_class=Evaluation,
    responses=FAILURES,
)
async def evaluate_flags(
    request: AnyRequest,
    if_none_match: Annotated[
        str | None,
        HeaderParameter(name="If-None-Match", description="an ETag; 304 if nothing has changed"),
    ] = None,
    seen: Annotated[
        str | None,
        QueryParameter(name="flagConfigEtag", description="`etag` of the event that made you ask"),
    ] = None,
) -> Response[bytes]:
    """Evaluate every flag for a context; the ETag is of the answer and the context."""
    services = services_of(request)
    if seen is not None and revision_of(seen) > services.current.get().flags_revision:
        # The event came through another worker, which was some milliseconds faster.
        await asyncio.to_thread(services.current.take_effect)
    context = _context(await request.body())
    visitor = await _visitor(services, context)
    configuration = services.current.get()
    ticket = services.tickets.issue(principal_of(request).key_id, visitor.now_ms)
    body = msgspec.json.encode(
        Flags(
            flags=[answer_flag(rollout, visitor) for rollout in configuration.rollouts.values()],
            metadata={"revision": configuration.flags_revision},
            event_streams=[
                EventStream(endpoint=Endpoint(request_uri=f"/v1/changes?ticket={ticket}"))
            ],
        )
    )
    headers = {"ETag": _etag(context, body), "Cache-Control": "no-cache"}
    if has_already(if_none_match, headers["ETag"]):
        return Response(b"", status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _context(body: bytes) -> dict[str, Any]:
    """Read the context out of a body, whatever its content type says."""
    try:
        asked = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContextError(
            "PARSE_ERROR", f'the body is not JSON ({error}); send {{"context": {{…}}}}'
        ) from error
    context = asked.get("context") if isinstance(asked, dict) else None
    if not isinstance(context, dict):
        raise ContextError(
            "INVALID_CONTEXT",
            'the body has no "context" that is an object; send {"context": {"targetingKey": "…"}}',
        )
    for name, value in context.items():
        if type(value) is list and len(value) > MAX_LISTED:
            raise ContextError(
                "INVALID_CONTEXT",
                f"{name[:40]!r} in the context is a list of {len(value)} values; "
                f"send at most {MAX_LISTED}",
            )
    return context


async def _visitor(services: Services, context: dict[str, Any]) -> Visitor:
    """Find who is asked about.

    `targetingKey` is the user id, or the anonymous id with `"anonymous": true`, or a text that says
    so, from a client that sends only texts. `user_id` and `anonymous_id` beside it are taken as
    such. `"consent"` that is given and is no clear yes uses no id at all.
    """
    target = _id(context, "targetingKey")
    is_anonymous = is_yes(context.get("anonymous"))
    user_id = _id(context, "user_id") or (None if is_anonymous else target)
    anonymous_id = _id(context, "anonymous_id") or (target if is_anonymous else None)
    if user_id is None and anonymous_id is None:
        raise ContextError(
            "TARGETING_KEY_MISSING",
            "the context has no targetingKey, which says whom the flags are for; add one",
        )
    consent = context.get("consent")
    has_consent = consent is None or is_yes(consent)
    pseudonym = services.pseudonymiser.pseudonym
    user_key = pseudonym("user_id", user_id) if user_id and has_consent else None
    anonymous_key = (
        pseudonym("anonymous_id", anonymous_id) if anonymous_id and has_consent else None
    )
    timeout_s = services.settings.deadline_ms / 1000
    return Visitor(
        user_key,
        anonymous_key,
        person=await services.intake.people.person(user_key, anonymous_key, timeout_s),
        now_ms=services.now_ms(),
        attributes=context,
        segments=services.engine.shelf().segments,
    )


def _id(context: dict[str, Any], name: str) -> str | None:
    value = context.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ContextError("INVALID_CONTEXT", f"{name} in the context is no text; send a string")
    try:
        return check_id(value, name)
    except IdError as error:
        raise ContextError("INVALID_CONTEXT", error.message) from error


def _etag(context: dict[str, Any], body: bytes) -> str:
    """Hash the answer and the context it is for.

    The answer holds the revisions, the effect of the time and of who is known as whom; the context
    is there because a client may keep one tag for two contexts.
    """
    asked = msgspec.json.encode(context, order="sorted")
    digest = blake2b(len(asked).to_bytes(8, "big") + asked + body, digest_size=16)
    return f'"{digest.hexdigest()}"'


ofrep = Router(
    "/ofrep/v1/evaluate/flags",
    route_handlers=[evaluate_flag, evaluate_flags],
    opt=needs("publishable"),
    tags=["flags"],
    exception_handlers=HANDLERS,
)
