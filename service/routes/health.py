"""Health, without a key, for load balancers; metrics, with one, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from litestar import Response, get
from msgspec import Meta

from service.middleware.access import OPEN, needs
from service.routes.documents import AnyRequest, problems
from service.services import Services, services_of
from service.stores.sqlite import check_readable

Component = Literal["event_log", "control_plane"]


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A component that does not do its work; pages go on without it."""

    component: Annotated[
        Component,
        Meta(
            description="event_log: events are refused or wait, exposures wait in memory; "
            "control_plane: pages go on as last configured, and nothing can be changed"
        ),
    ]
    since: Annotated[datetime, Meta(description="since when this worker knows")]
    detail: Annotated[str, Meta(description="what is wrong, for people")]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of this worker."""

    status: Annotated[
        Literal["ok", "degraded"],
        Meta(description="degraded: pages are answered, but something else is not as it should be"),
    ] = "ok"
    troubles: Annotated[
        tuple[Trouble, ...] | msgspec.UnsetType,
        Meta(description="what is not as it should be; absent if nothing is"),
    ] = msgspec.UNSET


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
)
async def ready(request: AnyRequest) -> Health:
    """Answer 200 while the stores can be read; without a model, static content is served.

    While events cannot be written, or a control plane in PostgreSQL cannot be reached, pages are
    answered all the same: it is still 200, with the status `degraded` and the `troubles`.
    """
    services = services_of(request)
    files = list(_files(services))
    if files:
        await asyncio.to_thread(_check, files)
    troubles = [*_of_events(services), *_of_control(services)]
    return Health(status="degraded", troubles=tuple(troubles)) if troubles else Health()


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
    return Response(text, media_type="text/plain; version=0.0.4")


def _files(services: Services) -> Iterator[tuple[Path, str]]:
    """Name the stores that are files of the home, each with a table.

    A database of several machines is not asked: it may hang, and they go on as last configured. A
    load balancer that takes all of them out, because none answers in time, would help nobody.
    """
    for place, table in (
        (services.settings.event_log, "events"),
        (services.control_store.place, "documents"),
    ):
        if isinstance(place, Path):
            yield place, table


def _check(files: Sequence[tuple[Path, str]]) -> None:
    """Read a row of each store."""
    for path, table in files:
        check_readable(path, table)


def _of_events(services: Services) -> list[Trouble]:
    found = services.intake.state.trouble()
    if found is None:
        return []
    # Why a database refuses names its address, which is nobody's business who has no key.
    refuses = "the event store refuses what is written; the log line event_log_refuses says why"
    detail = found.why if found.is_silent else refuses
    return [_trouble("event_log", found.since_ms, detail)]


def _of_control(services: Services) -> list[Trouble]:
    since_ms = services.current.failing_since_ms
    if since_ms is None:
        return []
    return [_trouble("control_plane", since_ms, "the database of the control plane cannot be read")]


def _trouble(component: Component, since_ms: int, detail: str) -> Trouble:
    since = datetime.fromtimestamp(since_ms / 1000, UTC)
    return Trouble(component=component, since=since, detail=detail)
