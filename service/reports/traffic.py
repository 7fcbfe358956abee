"""Reads what a home already knows of a rollout's units: how many come, and what they do."""

from __future__ import annotations

from typing import Literal, NamedTuple

from service.control.writing import not_found, read_document
from service.reports.arms import whole_arm
from service.reports.comparison import METRICS, MetricName, estimate
from service.reports.statistics import Estimate
from service.rollouts.definition import CONTROL, Rollout
from service.stores.control import ControlStore
from service.stores.days import read_days
from service.stores.event_log import EventLog
from service.stores.known_visitors import read_known_visitors
from service.stores.outcomes import read_outcomes

DAY_MS = 86_400_000
LEAST_DAYS = 0.5
"""Of age, before units a day are told."""
HOME_DAYS = 28
MAX_EXPOSURES = 300_000

Source = Literal["rollout", "home", "given"]
"""The rollout's own units, everybody's of the last 28 days, or what somebody said."""


class Traffic(NamedTuple):
    """What a plan stands on."""

    share: float
    """That the rollout treats, 0 to 1."""
    baselines: dict[MetricName, Estimate]
    """Of control."""
    units_per_day: float | None
    baseline_from: Source
    units_from: Source


def read_traffic(
    events: EventLog,
    control: ControlStore,
    key: str,
    *,
    at_ms: int,
    max_new: int | None = None,
) -> Traffic:
    """Read the rollout's own units; where there are none yet, the home's. Blocking.

    Raises
    ------
    NotFoundError
        If there is no such rollout.
    StoreError
        If a store cannot be read.
    """
    with control.transaction() as transaction:
        rollout = read_document(transaction, "rollout", key)
        if not isinstance(rollout, Rollout):
            raise not_found(transaction, "rollout", key)
        opened = [one.opened_at_ms for one in transaction.list_epochs(key)]
    sums = read_outcomes(events, key, max_new=max_new)
    days = (at_ms - min(opened)) / DAY_MS if opened else 0.0
    n_units = sum(people.n_units for people in sums.people.values())
    found = {}
    if any(arm.variant == CONTROL for arm in sums.arms):
        arm = whole_arm(sums, CONTROL)
        found = {metric: estimate(arm, metric) for metric in METRICS}
    baselines = {metric: one for metric, one in found.items() if one is not None and one.value > 0}
    per_day = n_units / days if days >= LEAST_DAYS and n_units else None
    baseline_from: Source = "rollout"
    units_from: Source = "rollout"
    if not baselines or per_day is None:
        n_home, home = _of_home(events, at_ms)
        if not baselines:
            baselines, baseline_from = home, "home"
        if per_day is None:
            per_day, units_from = n_home, "home"
    return Traffic(rollout.share, baselines, per_day, baseline_from, units_from)


def _of_home(events: EventLog, at_ms: int) -> tuple[float | None, dict[MetricName, Estimate]]:
    """Count who was shown anything in four weeks, and who of these bought."""
    last = at_ms // DAY_MS
    known = read_known_visitors(
        events, since_ms=at_ms - HOME_DAYS * DAY_MS, max_exposures=MAX_EXPOSURES
    )
    n_units = len({(one.unit_kind, one.unit_key) for one in known.visitors})
    if not n_units or not known.n_since:
        return None, {}
    sums = read_days(events, last - HOME_DAYS + 1, last)
    # Of more exposures than are read, only the newest part of the time was looked at.
    looked_at = known.n_read / known.n_since
    days = max(1.0, looked_at * len({one.day for one in sums.stages}))
    share = min(1.0, looked_at * sums.buyers.n / n_units)
    baselines: dict[MetricName, Estimate] = (
        {"conversion": Estimate(share, share * (1 - share) / n_units, n_units)} if share else {}
    )
    return n_units / days, baselines
