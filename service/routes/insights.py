"""GET /v1/insights: what the shop as a whole does."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from service.insights.figures import Insights
from service.insights.reader import MAX_DAYS
from service.middleware.access import needs
from service.routes.documents import AnyRequest, problems
from service.services import services_of

Days = Annotated[
    int,
    QueryParameter(
        required=False, ge=1, le=MAX_DAYS, description="how many UTC days, today included"
    ),
]


@get(
    "/v1/insights",
    operation_id="getInsights",
    summary="Orders, funnel, channels, coverage and segments of the last days",
    tags=["insights"],
    opt=needs("merchandiser"),
    responses=problems(503),
    sync_to_thread=True,
)
def read_insights(request: AnyRequest, days: Days = 28) -> Insights:
    """Return the figures of the last days, today so far included, and how sales changed.

    What changed is in `compared`, whole days beside as many before: today is in neither.

    Those of 15 days or fewer are at most 15 s old, longer ones a second for each day.

    They come from running sums by day, so what they cost does not grow with the log. A day is UTC;
    exposures of crawlers and events of crawlers and previews are not counted.
    """
    return services_of(request).insights.read(days)
