"""Health, without a key, for load balancers; metrics, with one, for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from litestar import Response, get

from service.access import OPEN, needs
from service.routes.documents import AnyRequest, problems
from service.services import services_of


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
    sync_to_thread=False,
)
def ready(request: AnyRequest) -> Health:
    """Answer 200 once the stores are open; without a model, static content is served."""
    services_of(request)
    return Health()


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
