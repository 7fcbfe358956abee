"""How many people and days it takes to see a lift: a form that changes nothing."""

from __future__ import annotations

from litestar import Controller, get

from models.errors import EndcapError, InputError
from service.console.form import MAX_NUMBER, Form, FormError
from service.console.formatting import number
from service.reports.plan import HALF, SHARES, PlanMetric, Question, RolloutPlan, make_plan
from service.reports.plan_limits import check_numbers, write_days
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

SEEN = ("baseline", "per_day")
"""Fields that are filled in with what was seen; the form says with what."""
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
        traffic, trouble = _traffic(request, rollout)
        known = _known(traffic, metric)
        typed = _typed(request)
        form = Form({name: (value,) for name, value in {**known, **typed}.items()}, {})
        plan: RolloutPlan | None = None
        errors: dict[str, str] = {}
        try:
            plan = make_plan(rollout.key, _question(form, typed, metric), traffic)
        except (FormError, InputError) as error:
            errors = errors_of(error)
        return page(
            request,
            "rollouts/plan.html",
            title=f"Plan {rollout.name or rollout.key}",
            rollout=rollout,
            path=rollout_path(rollout.key),
            form=form,
            known=known,
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


def _typed(request: ConsoleRequest) -> dict[str, str]:
    """Return what somebody typed: not what a field was filled in with and still holds."""
    sent = {name: str(value).strip() for name, value in request.query_params.items()}
    return {
        name: value
        for name, value in sent.items()
        if value and (name not in SEEN or value != sent.get(f"seen_{name}"))
    }


def _question(form: Form, typed: dict[str, str], metric: PlanMetric) -> Question:
    """Read what is planned for; what nobody typed is taken as it was seen, to the last digit."""
    unit, of_people = _unit(metric), metric in SHARES
    baseline = per_day = lift = None
    if "baseline" in typed:
        most = 100 if of_people else MAX_NUMBER
        baseline = _between(form, "baseline", "What control does", 0, most, is_percent=of_people)
        baseline /= unit
    if "per_day" in typed:
        per_day = _between(form, "per_day", "People a day", 0, MAX_NUMBER, is_percent=False)
    if form.text("lift"):
        lift = _lift(form)
        if not -1 < lift != 0:
            raise FormError(
                "lift", "a lift is above −100 % and not 0; 5 is five percent more of them"
            )
    question = Question(
        metric=metric,
        lift=lift,
        power=_between(form, "power", "How surely", 50, 100) / 100,
        share=_between(form, "share", "Share that is treated", 0, 100) / 100,
        baseline=baseline,
        units_per_day=per_day,
    )
    return check_numbers(question)


def _between(
    form: Form, name: str, label: str, least: float, most: float, *, is_percent: bool = True
) -> float:
    """Read a number that neither bound is; the message is in the unit of the field."""
    number = form.number(name, label)
    if least < number < most:
        return number
    unit = " %" if is_percent else ""
    bounds = f"above {least:g}{unit}"
    if most < MAX_NUMBER:
        bounds += f" and below {most:g}{unit}"
    raise FormError(name, f"{label}: {number:g}{unit} is not {bounds}")


def _unit(metric: PlanMetric) -> int:
    """Say what one of a metric is written as: shares are in percent."""
    return 1 if metric == "revenue_per_unit" else 100


def _lift(form: Form) -> float:
    return form.number("lift", "Lift") / 100
