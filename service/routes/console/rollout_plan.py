"""How many people and days it takes to see a lift: a form that changes nothing."""

from __future__ import annotations

from litestar import Controller, get

from models.errors import EndcapError, InputError
from service.console.form import Form, FormError
from service.console.formatting import number
from service.plan_limits import check_numbers, write_days
from service.reports.plan import HALF, PlanMetric, Question, RolloutPlan, make_plan
from service.reports.planner import POWER
from service.reports.traffic import Traffic, read_traffic
from service.rollouts.definition import Rollout
from service.routes.console.form_errors import errors_of
from service.routes.console.frame import ConsoleRequest, Page, page
from service.routes.console.gate import section
from service.routes.console.links import rollout_path
from service.routes.console.rollout_changes import find_rollout
from service.routes.documents import PathId, check_path_id
from service.services import services_of

METRICS: dict[PlanMetric, str] = {
    "conversion": "people who buy",
    "add_to_cart": "people who put something into the basket",
    "click_through": "slates that are clicked",
    "revenue_per_unit": "revenue per person",
}


class RolloutPlanPages(Controller):
    """The planner of a rollout."""

    path = "/rollouts/{rollout_key:str}/plan"
    opt = section("rollouts")

    @get(sync_to_thread=True)
    def show(self, request: ConsoleRequest, rollout_key: PathId) -> Page:
        """Say what it takes; what is not typed comes from what was seen."""
        rollout = find_rollout(request, check_path_id(rollout_key, "rollout key"))
        asked = str(request.query_params.get("metric", "conversion"))
        metric: PlanMetric = asked if asked in METRICS else "conversion"
        typed = {name: (str(value),) for name, value in request.query_params.items()}
        traffic, trouble = _traffic(request, rollout)
        known = _known(traffic, metric)
        form = Form({**{name: (value,) for name, value in known.items() if value}, **typed}, {})
        plan: RolloutPlan | None = None
        errors: dict[str, str] = {}
        try:
            plan = make_plan(rollout.key, _question(form, metric), traffic)
        except (FormError, InputError) as error:
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
            is_share=metric != "revenue_per_unit",
            plan=plan,
            trouble=trouble,
            write_days=write_days,
            wanted=_lift(form) if plan and form.text("lift") else None,
        )


def _traffic(request: ConsoleRequest, rollout: Rollout) -> tuple[Traffic, str]:
    """Read what is known, at most some seconds old; nothing of it is needed to plan."""
    services = services_of(request)

    def read() -> Traffic:
        return read_traffic(
            services.settings.event_log,
            services.control_store,
            rollout.key,
            at_ms=services.now_ms(),
        )

    try:
        key = ("traffic", rollout.key, rollout.revision)
        return services.console.reports.get(key, services.now_ms(), read), ""
    except EndcapError as error:
        return Traffic(rollout.share, {}, None, "given", "given"), error.message


def _known(traffic: Traffic, metric: PlanMetric) -> dict[str, str]:
    """Fill the form in with what was seen."""
    share = traffic.share if 0 < traffic.share < 1 else HALF
    found = traffic.baselines.get(metric)
    per_day = traffic.units_per_day
    return {
        "share": number(100 * share),
        "baseline": number(_unit(metric) * found.value) if found else "",
        "per_day": number(round(per_day, 1 if per_day < 10 else 0)) if per_day else "",
        "power": number(100 * POWER),
    }


def _question(form: Form, metric: PlanMetric) -> Question:
    baseline = form.number("baseline", "What control does") if form.text("baseline") else None
    question = Question(
        metric=metric,
        lift=_lift(form) if form.text("lift") else None,
        power=form.number("power", "How surely") / 100,
        share=form.share("share", "Share that is treated"),
        baseline=None if baseline is None else baseline / _unit(metric),
        units_per_day=form.number("per_day", "People a day") if form.text("per_day") else None,
    )
    return check_numbers(question)


def _unit(metric: PlanMetric) -> int:
    """Say what one of a metric is written as: shares are in percent."""
    return 1 if metric == "revenue_per_unit" else 100


def _lift(form: Form) -> float:
    return form.number("lift", "Lift") / 100
