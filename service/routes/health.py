"""Health, without a key, for load balancers; metrics, with one, for Prometheus."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from litestar import Response, get, head
from msgspec import Meta

from models.errors import StoreError
from service.access import OPEN, needs
from service.routes.documents import AnyRequest, problems
from service.services import Services, services_of
from service.stores.event_log import EVENTS_FILE
from service.stores.sqlite import check_readable


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of this worker."""

    status: Annotated[
        Literal["ok", "degraded"],
        Meta(description="degraded: pages go on as last configured, but nothing can be changed"),
    ] = "ok"


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
    """Answer 200 while the stores can be read; without a model, static content is served.

    A control plane in PostgreSQL that cannot be reached is still 200, with the status `degraded`.
    """
    return _check(services_of(request))


@head(["/health/live", "/health/ready"], opt=OPEN, include_in_schema=False, sync_to_thread=True)
def head_health(request: AnyRequest) -> None:
    """Answer as GET does, without a body."""
    if request.url.path.endswith("ready"):
        _check(services_of(request))


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


def _check(services: Services) -> Health:
    """Read a row of each store.

    What several machines share does not count: they go on as last configured, and a load balancer
    that took all of them out would help nobody.
    """
    if isinstance(services.settings.event_log, Path):
        check_readable(services.settings.home / EVENTS_FILE, "events")
    try:
        services.control_store.check_readable()
    except StoreError:
        if not services.control_store.is_shared:
            raise
        return Health(status="degraded")
    return Health()
