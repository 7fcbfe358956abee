"""GET /v1/changes: a stream of server-sent events that tells clients to fetch their flags again."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from service.middleware.access import TICKETS, needs
from service.routes.documents import AnyRequest, problems
from service.services import services_of

HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@get(
    "/v1/changes",
    opt=needs("publishable") | TICKETS,
    tags=["flags"],
    operation_id="streamChanges",
    summary="Be told when to fetch again",
    media_type="text/event-stream",
    responses=problems(429),
)
async def stream_changes(
    request: AnyRequest,
    last_event_id: Annotated[
        str | None,
        HeaderParameter(name="Last-Event-ID", description="what was seen last; sent by browsers"),
    ] = None,
    ticket: Annotated[
        str | None,
        QueryParameter(description="instead of a key; in `eventStreams` of a bulk evaluation"),
    ] = None,
) -> Stream:
    """Stream server-sent events as the OpenFeature protocol has them, until the client leaves.

    The data of an event is `{"type": "refetchEvaluation", "etag": "…", "lastModified": 1771622898}`
    in JSON. One comes at the beginning, unless `Last-Event-ID` shows that nothing was missed, then
    one whenever a rollout, a layer, the holdout or an uploaded list changes, and when a schedule
    begins or ends.
    """
    stream = services_of(request).changes.open_stream(last_event_id)
    return Stream(stream, media_type="text/event-stream", headers=HEADERS)
