"""What a rollout did so far, and what it takes to see more: its report and its plan."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from service.middleware.access import needs
from service.reports.gather import report_rollout
from service.reports.plan import PlanMetric, Question, RolloutPlan, make_plan
from service.reports.plan_limits import check_numbers
from service.reports.planner import POWER
from service.reports.report import Report
from service.reports.traffic import read_traffic
from service.routes.documents import AnyRequest, PathId, check_path_id, problems
from service.services import services_of

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
        services.settings.event_log,
        services.control_store,
        check_path_id(rollout_key, "rollout key"),
        at_ms=services.now_ms(),
        max_new=MAX_NEW_ROWS,
        catalogue=None if snapshot is None else snapshot.items.ids,
    )


Metric = Annotated[PlanMetric, QueryParameter(required=False, description="what is counted")]
Lift = Annotated[
    float | None,
    QueryParameter(required=False, description="relative, beside the usual ones; 0.05 is +5 %"),
]
Power = Annotated[
    float,
    QueryParameter(required=False, description="share of such experiments that see the lift"),
]
Share = Annotated[
    float | None,
    QueryParameter(required=False, description="that is treated; the rollout's, else a half"),
]
Baseline = Annotated[
    float | None,
    QueryParameter(required=False, description="the metric in control; else what was seen of it"),
]
PerDay = Annotated[
    float | None,
    QueryParameter(required=False, description="new units a day; else as many as came"),
]


@get(
    "/v1/rollouts/{rollout_key:str}/plan",
    operation_id="getRolloutPlan",
    summary="Plan a rollout",
    tags=["rollouts"],
    opt=needs("merchandiser"),
    responses=problems(404, 503),
    sync_to_thread=True,
)
def read_plan(
    request: AnyRequest,
    rollout_key: PathId,
    *,
    metric: Metric = "conversion",
    lift: Lift = None,
    power: Power = POWER,
    share: Share = None,
    baseline: Baseline = None,
    units_per_day: PerDay = None,
) -> RolloutPlan:
    """Tell how many units and days it takes to see a lift; nothing is changed.

    What the query leaves out comes from the rollout's own units, and before there are any from
    everybody whom the home has seen in 28 days. It is for one look at the end, which raises a false
    alarm in 5 % of experiments; who looks all the time needs about twice as many.
    """
    question = check_numbers(
        Question(
            metric=metric,
            lift=lift,
            power=power,
            share=share,
            baseline=baseline,
            units_per_day=units_per_day,
        )
    )
    services = services_of(request)
    key = check_path_id(rollout_key, "rollout key")
    traffic = read_traffic(
        services.settings.event_log,
        services.control_store,
        key,
        at_ms=services.now_ms(),
        max_new=MAX_NEW_ROWS,
    )
    return make_plan(key, question, traffic)
