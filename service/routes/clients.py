"""Where the client libraries of Segment, RudderStack and GA4 send to, without a change in them.

Segment's for browsers and phones have addresses of one letter, ``/v1/t`` for a track call.
"""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from service.intake.body import unpack
from service.intake.calls import Call, read_batch, read_call
from service.intake.ga4 import read_ga4
from service.intake.messages import Sorted
from service.middleware.access import beacons, bodies, needs
from service.routes.console.frame import is_secure
from service.routes.documents import AnyRequest, problems
from service.routes.verdicts import Verdicts, take_in
from service.services import Services, services_of

SETTLE_S = 1.0
"""How long `identify` calls that are settled together wait until it is stored who they are."""

SETTLED_TOGETHER = 50
"""One after the other, a batch waits longer than its sender; all at once, pages wait for it."""

_NAMED = "messages without an id"
"""What that key is derived for."""

_REFUSALS = problems(413, 429, 503)
_BY_KEY = {**needs("server"), **bodies("writeKey")}


async def _body(request: AnyRequest) -> bytes:
    """Read a body, which the Node library packs and labels as a form."""
    body: bytes = await request.body()
    return unpack(body, services_of(request).settings.body_limit_bytes)


async def _take_in(request: AnyRequest, found: Sorted) -> Verdicts:
    verdicts = await take_in(request, found.arrivals, found.ignored)
    services = services_of(request)
    hide, people = services.pseudonymiser.pseudonym, services.intake.people
    known = list(dict.fromkeys(found.known))
    for start in range(0, len(known), SETTLED_TOGETHER):
        # From now on each user is dealt as the visitor that they were.
        await asyncio.gather(
            *(
                people.person(hide("user_id", user), hide("anonymous_id", anonymous), SETTLE_S)
                for user, anonymous in known[start : start + SETTLED_TOGETHER]
            )
        )
    return verdicts


def _key(services: Services) -> bytes:
    """Return under what messages without an id are named: they say who they are about."""
    return services.pseudonymiser.derive(_NAMED)


def _route_of(call: Call, *, is_by_device: bool = False) -> ControllerRouterHandler:
    @post(
        f"/v1/{call[0] if is_by_device else call}",
        operation_id=f"client{call.title()}",
        include_in_schema=not is_by_device,
        summary=f"Take a {call} call of Segment's or RudderStack's libraries",
        tags=["events"],
        status_code=200,
        opt=_BY_KEY,
        responses=_REFUSALS,
    )
    async def take_call(request: AnyRequest) -> Verdicts:
        """Take one call; see `POST /v1/batch`."""
        services = services_of(request)
        body, now_ms, key = await _body(request), services.now_ms(), _key(services)
        found = read_call(body, call, now_ms, key=key, is_by_device=is_by_device)
        return await _take_in(request, found)

    return take_call


async def _take_batch(request: AnyRequest, *, is_by_device: bool = False) -> Verdicts:
    services = services_of(request)
    body, now_ms, key = await _body(request), services.now_ms(), _key(services)
    found = read_batch(body, now_ms, key=key, is_by_device=is_by_device)
    return await _take_in(request, found)


@post(
    "/v1/batch",
    operation_id="clientBatch",
    summary="Take calls of Segment's or RudderStack's libraries",
    tags=["events"],
    status_code=200,
    opt=_BY_KEY,
    responses=_REFUSALS,
)
async def take_batch(request: AnyRequest) -> Verdicts:
    """Take many calls at once: `{"batch": [...]}`.

    The write key is a key of Endcap, as the user of Basic auth, or as `writeKey` in the body. A
    call with one of the names of the E-Commerce specification becomes one event a product; others
    are `ignored`, with the reason. A call is known by its `messageId`, so sending it again stores
    nothing twice.
    """
    return await _take_batch(request)


@post("/v1/import", include_in_schema=False, status_code=200, opt=_BY_KEY)
async def take_import(request: AnyRequest) -> Verdicts:
    """Take what `POST /v1/batch` takes, from Segment's older libraries for servers."""
    return await _take_batch(request)


@post("/v1/b", include_in_schema=False, status_code=200, opt=_BY_KEY)
async def take_batch_of_device(request: AnyRequest) -> Verdicts:
    """Take what `POST /v1/batch` takes, from Segment's libraries for browsers and phones."""
    return await _take_batch(request, is_by_device=True)


@post(
    "/beacon/v1/batch",
    operation_id="clientBeacon",
    summary="Take calls of RudderStack's library as a beacon",
    tags=["events"],
    status_code=200,
    opt={**needs("server"), **beacons("writeKey")},
    responses=_REFUSALS,
)
async def take_beacon(request: AnyRequest) -> Verdicts:
    """Take what `POST /v1/batch` takes, as text, with the key as `writeKey` in the query."""
    return await _take_batch(request)


@post(
    "/mp/collect",
    operation_id="clientMeasurementProtocol",
    summary="Take events of GA4's Measurement Protocol",
    tags=["events"],
    status_code=200,
    opt={**needs("server"), **beacons("api_secret")},
    responses=_REFUSALS,
)
async def take_ga4(request: AnyRequest) -> Verdicts:
    """Take GA4's e-commerce events, one of ours an item.

    A publishable key may come as `api_secret`; a server's comes in a header, as logs keep
    addresses. A known key in a header comes first, so `api_secret` may stay Google's.
    """
    services = services_of(request)
    found = read_ga4(await _body(request), services.now_ms(), key=_key(services))
    return await _take_in(request, found)


@get(
    "/sourceConfig",
    operation_id="clientSourceConfig",
    summary="Tell RudderStack's library what to do",
    tags=["events"],
    opt={**needs("publishable"), **beacons("writeKey")},
)
async def read_source_config() -> dict[str, Any]:
    """Tell the browser library to send everything here and to report nothing elsewhere."""
    quiet = {"enabled": False}
    return {
        "source": {
            "id": "endcap",
            "name": "endcap",
            "workspaceId": "endcap",
            "enabled": True,
            "config": {"statsCollection": {"errors": quiet, "metrics": quiet}},
            "destinations": [],
            "connections": [],
        }
    }


@get(
    "/v1/projects/{write_key:str}/settings",
    operation_id="clientSettings",
    summary="Tell Segment's libraries for browsers and phones what to do",
    tags=["events"],
    opt={**needs("publishable"), **beacons("write_key")},
    responses=problems(),
)
async def read_project_settings(request: AnyRequest, write_key: FromPath[str]) -> dict[str, Any]:
    """Tell the library to send everything to where it asked, and to report nothing elsewhere."""
    sends_to = {
        "apiKey": write_key,
        "apiHost": f"{request.url.netloc}/v1",
        "protocol": "https" if is_secure(request) else "http",
    }
    return {"integrations": {"Segment.io": sends_to}, "metrics": {"sampleRate": 0}}


_CALLS: tuple[Call, ...] = ("track", "page", "screen", "identify", "group", "alias")

CLIENT_ROUTES: list[ControllerRouterHandler] = [
    *(_route_of(call) for call in _CALLS),
    *(_route_of(call, is_by_device=True) for call in _CALLS),
    take_batch,
    take_import,
    take_batch_of_device,
    take_beacon,
    take_ga4,
    read_source_config,
    read_project_settings,
]
