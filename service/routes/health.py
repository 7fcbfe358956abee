"""Health, without a key, for load balancers; metrics, with one, for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from litestar import Response, get, head

from service.access import OPEN, needs
from service.routes.documents import AnyRequest, problems
from service.services import services_of
from service.stores.event_database import EVENTS_FILE
from service.stores.sqlite import check_readable

STORES = (("control.sqlite", "documents"), (EVENTS_FILE, "events"))


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of this worker."""

    status: Literal["ok"] = "ok"


@get(
    "/health/live",
    opt=OPEN,
    security=[{}],
    operation_id="getLive",
    summary="Is the process alive?",
    tags=["health"],
    sync_to_thread=False,
)
def live() -> Health:
    """Answer 200 while the process answers at all."""
    return Health()


@get(
    "/health/ready",
    opt=OPEN,
    security=[{}],
    operation_id="getReady",
    summary="May traffic be sent?",
    tags=["health"],
    responses=problems(503),
    sync_to_thread=True,
)
def ready(request: AnyRequest) -> Health:
    """Answer 200 while the stores can be read; without a model, static content is served."""
    home = services_of(request).settings.home
    for name, table in STORES:
        check_readable(home / name, table)
    return Health()


@head(["/health/live", "/health/ready"], opt=OPEN, include_in_schema=False, sync_to_thread=True)
def head_health(request: AnyRequest) -> None:
    """Answer as GET does, without a body."""
    if request.url.path.endswith("ready"):
        home = services_of(request).settings.home
        for name, table in STORES:
            check_readable(home / name, table)


@get(
    "/metrics",
    opt=needs("trainer"),
    operation_id="getMetrics",
    summary="Metrics of all workers",
    tags=["health"],
    media_type="text/plain",
    responses=problems(),
)
async def metrics(request: AnyRequest) -> Response[bytes]:
    """Write all metrics of all workers in Prometheus' text format."""
    found = services_of(request).metrics
    found.flush()
    text = await asyncio.to_thread(found.render)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
