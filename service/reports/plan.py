"""The plan of a rollout: units and days by the lift to be seen, out of its traffic. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from models.errors import InputError
from service.reports.planner import ALPHA, POWER, Plan, plan_conversion, plan_mean
from service.reports.traffic import Source, Traffic

PlanMetric = Literal["conversion", "add_to_cart", "click_through", "revenue_per_unit"]
LIFTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
HALF = 0.5
"""The share that needs the fewest units; planned for where the rollout treats all or nobody."""
SHARES: frozenset[PlanMetric] = frozenset({"conversion", "add_to_cart"})
"""Metrics that count units that do something."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is planned for; what is left out comes from the traffic."""

    metric: PlanMetric = "conversion"
    lift: float | None = None
    """Relative; 0.05 is five percent more."""
    power: float = POWER
    share: float | None = None
    """Of the units that are treated, 0 to 1."""
    baseline: float | None = None
    """The metric in control."""
    units_per_day: float | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to see one lift."""

    lift: Annotated[float, Meta(description="relative; 0.05 is five percent more")]
    units: Annotated[int | None, Meta(description="in both arms; null where no number tells")]
    units_control: int | None
    units_treated: int | None
    days: Annotated[float | None, Meta(description="null where nobody comes yet")]


class RolloutPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to see a lift, and what that stands on."""

    rollout: str
    metric: PlanMetric
    share: Annotated[float, Meta(description="of the units that are treated, 0 to 1")]
    power: Annotated[float, Meta(description="share of such experiments that see the lift")]
    alpha: Annotated[float, Meta(description="share of false alarms without any lift")]
    baseline: Annotated[float | None, Meta(description="the metric in control")]
    baseline_from: Source | None
    units_per_day: float | None
    units_from: Source | None
    lines: Annotated[list[Line], Meta(description="by lift; the one that was asked for too")]
    notes: list[str]


def make_plan(key: str, question: Question, traffic: Traffic) -> RolloutPlan:
    """Plan for the usual lifts and the one that is asked for.

    Raises
    ------
    InputError
        If what was given is out of its range.
    """
    _check(question)
    ground = _stand(question, traffic)
    lifts = sorted({*LIFTS, *([] if question.lift is None else [question.lift])})
    return RolloutPlan(
        rollout=key,
        metric=question.metric,
        share=ground.share,
        power=question.power,
        alpha=ALPHA,
        baseline=ground.baseline,
        baseline_from=None if ground.baseline is None else ground.baseline_from,
        units_per_day=ground.units_per_day,
        units_from=None if ground.units_per_day is None else ground.units_from,
        lines=[_line(lift, _plan_one(question, ground, lift)) for lift in lifts],
        notes=_notes(question.metric, ground),
    )


class _Ground(NamedTuple):
    """What is given, and else what was seen."""

    share: float
    baseline: float | None
    spread: float | None
    """Variance of a unit, for a metric that is no share of the units."""
    baseline_from: Source
    units_per_day: float | None
    units_from: Source


def _stand(question: Question, traffic: Traffic) -> _Ground:
    known = traffic.baselines.get(question.metric)
    baseline = question.baseline
    if baseline is None and known is not None:
        baseline = known.value
    spread = None
    if baseline is not None and known is not None:
        # What was given is spread as what was seen is, in proportion.
        spread = known.variance * known.n * (baseline / known.value) ** 2
    given = question.units_per_day
    return _Ground(
        share=question.share or (traffic.share if 0 < traffic.share < 1 else HALF),
        baseline=baseline,
        spread=spread,
        baseline_from=traffic.baseline_from if question.baseline is None else "given",
        units_per_day=traffic.units_per_day if given is None else given,
        units_from=traffic.units_from if given is None else "given",
    )


def _check(question: Question) -> None:
    if question.share is not None and not 0 < question.share < 1:
        raise InputError(
            f"share {question.share:g} leaves one arm empty; plan for one between 0 and 1, such "
            "as 0.5"
        )
    if not 0.5 < question.power < 1:
        raise InputError(f"power {question.power:g} is not above 0.5 and below 1; 0.8 is usual")
    if question.lift is not None and not -1 < question.lift != 0:
        raise InputError(
            f"lift {question.lift:g} cannot be seen; it is relative, so 0.05 is five percent more"
        )
    if question.baseline is not None and question.baseline <= 0:
        raise InputError(f"baseline {question.baseline:g} is not above 0; a lift of it is nothing")
    if question.metric in SHARES and question.baseline is not None and question.baseline >= 1:
        raise InputError(
            f"baseline {question.baseline:g} is not below 1; it is a share of the units, so 0.05 "
            "is five of a hundred"
        )
    if question.units_per_day is not None and question.units_per_day <= 0:
        raise InputError(f"units_per_day {question.units_per_day:g} is not above 0")


def _plan_one(question: Question, ground: _Ground, lift: float) -> Plan | None:
    if ground.baseline is None:
        return None
    share, per_day, power = ground.share, ground.units_per_day, question.power
    if question.metric in SHARES:
        return plan_conversion(ground.baseline, lift, share, per_day, power=power)
    if ground.spread is None:
        return None
    return plan_mean(ground.baseline, ground.spread, lift, share, per_day, power=power)


def _line(lift: float, plan: Plan | None) -> Line:
    return Line(
        lift=lift,
        units=None if plan is None else plan.n_units,
        units_control=None if plan is None else plan.n_control,
        units_treated=None if plan is None else plan.n_treated,
        days=None if plan is None or plan.days is None else round(plan.days, 2),
    )


def _notes(metric: PlanMetric, ground: _Ground) -> list[str]:
    notes = []
    if ground.baseline is None:
        notes.append(
            f"no {metric} of control is known yet; give a baseline, or let the rollout run at "
            "share 0 for some days"
        )
    elif metric not in SHARES and ground.spread is None:
        notes.append(
            f"how far units differ in {metric} is not known before control has some; let the "
            "rollout run at share 0 for some days"
        )
    elif ground.baseline_from == "home":
        notes.append(
            "the baseline is buyers per unit of the whole home in 28 days; the rollout has not "
            "seen enough itself"
        )
    if ground.units_per_day is None:
        notes.append("nobody comes yet, so days cannot be told; give units_per_day")
    elif ground.units_from == "home":
        notes.append(
            "units a day are of the whole home in 28 days; an audience or a layer lets fewer in"
        )
    return notes
