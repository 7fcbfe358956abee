"""How many people and days it takes to see a lift: a form that changes nothing."""

from __future__ import annotations

from litestar import Controller, get

from service.console.form import Form, FormError
from service.console.rollout_form import number
from service.reports.planner import plan_conversion
from service.reports.report import Report
from service.rollouts.definition import CONTROL, Rollout
from service.routes.console.form_errors import errors_of
from service.routes.console.frame import ConsoleRequest, Page, page
from service.routes.console.gate import section
from service.routes.console.links import rollout_path
from service.routes.console.rollout_changes import find_rollout
from service.routes.console.rollout_view import read_report
from service.routes.documents import PathId, check_path_id
from service.services import services_of

DAY_MS = 86_400_000
LEAST_DAYS = 0.5
"""Of a rollout's age, before its units a day are guessed from it."""
LIFTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
METRICS = {
    "conversion": "people who buy",
    "add_to_cart": "people who put something into the basket",
}


class RolloutPlanPages(Controller):
    """The planner of a rollout."""

    path = "/rollouts/{rollout_key:str}/plan"
    opt = section("rollouts")

    @get(sync_to_thread=True)
    def show(self, request: ConsoleRequest, rollout_key: PathId) -> Page:
        """Say what it takes; what is not typed comes from what the rollout has seen."""
        rollout = find_rollout(request, check_path_id(rollout_key, "rollout key"))
        report, _ = read_report(services_of(request), rollout)
        typed = {name: (str(value),) for name, value in request.query_params.items()}
        metric = str(request.query_params.get("metric", "conversion"))
        known = _known(rollout, report, metric)
        form = Form({**{name: (value,) for name, value in known.items() if value}, **typed}, {})
        plans, errors, wanted = [], {}, list[float]()
        try:
            baseline = form.number("baseline", "Share of now") / 100
            share = form.number("share", "Share of the rollout") / 100
            per_day = form.number("per_day", "People a day") if form.text("per_day") else None
            wanted = [form.number("lift", "Lift") / 100] if form.text("lift") else []
            plans = [
                (lift, plan_conversion(baseline, lift, share, per_day))
                for lift in sorted({*LIFTS, *wanted})
            ]
        except FormError as error:
            errors = errors_of(error)
        return page(
            request,
            "rollouts/plan.html",
            title=f"Plan {rollout.name or rollout.key}",
            rollout=rollout,
            path=rollout_path(rollout.key),
            form=form,
            errors=errors,
            metrics=list(METRICS.items()),
            metric=metric,
            plans=plans,
            wanted=wanted[0] if wanted else None,
        )


def _known(rollout: Rollout, report: Report | None, metric: str) -> dict[str, str]:
    """Fill the form in with what the report knows."""
    share = rollout.share if 0 < rollout.share < 1 else 0.5
    known = {"share": number(100 * share), "baseline": "", "per_day": ""}
    if report is None:
        return known
    control = next((arm for arm in report.arms if arm.variant == CONTROL), None)
    value = getattr(control, metric, None) if metric in METRICS else None
    opened = [one.opened_at_ms for one in report.epochs if one.opened_at_ms is not None]
    days = (report.at_ms - min(opened)) / DAY_MS if opened else 0.0
    if value:
        known["baseline"] = number(100 * value)
    if days >= LEAST_DAYS:
        known["per_day"] = number(round(sum(arm.units for arm in report.arms) / days))
    return known
