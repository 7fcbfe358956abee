"""GET /v1/rollouts/{key}/report: what a rollout did so far."""

from __future__ import annotations

from litestar import get

from service.access import needs
from service.reports.gather import report_rollout
from service.reports.report import Report
from service.routes.documents import AnyRequest, PathId, check_path_id, problems
from service.services import services_of
from service.stores.event_database import EVENTS_FILE

MAX_NEW_ROWS = 50_000
"""Rows that a request adds to the running sums itself: about a second's work."""


@get(
    "/v1/rollouts/{rollout_key:str}/report",
    operation_id="getRolloutReport",
    summary="Report a rollout",
    tags=["rollouts"],
    opt=needs("merchandiser"),
    responses=problems(404, 503),
    sync_to_thread=True,
)
def read_report(request: AnyRequest, rollout_key: PathId) -> Report:
    """Report units, click-through, conversion and revenue by variant, per epoch and over all.

    The verdict comes first. Differences are against control, with 95 % intervals for one look at a
    date fixed beforehand, and wider ones that hold at every look. A deleted rollout still has its
    report.
    """
    services = services_of(request)
    snapshot = services.live_model.get()
    return report_rollout(
        services.settings.home / EVENTS_FILE,
        services.control_store,
        check_path_id(rollout_key, "rollout key"),
        at_ms=services.now_ms(),
        max_new=MAX_NEW_ROWS,
        catalogue=None if snapshot is None else snapshot.items.ids,
    )
