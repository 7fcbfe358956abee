"""GET /console/changes: tells the open pages that something was changed, by whomever."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import HeaderParameter
from litestar.response import Stream

from service.routes.changes import HEADERS
from service.routes.console.frame import ConsoleRequest
from service.services import services_of


@get("/changes", media_type="text/event-stream")
async def stream_console_changes(
    request: ConsoleRequest,
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
) -> Stream:
    """Stream an event for each change of the control plane, until the page is left."""
    stream = services_of(request).console.changes.open_stream(last_event_id)
    return Stream(stream, media_type="text/event-stream", headers=HEADERS)
