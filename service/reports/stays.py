"""Who came back: visits, dwell and retention of units after their first exposure.

Visits and dwell are of the 28 days after a unit's first exposure in an epoch, or until its next
epoch. Retention asks whether a unit was seen in a window of days after it, and only those are asked
whose window was over before the epoch was: a unit that is too young is in no count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from service.reports import statistics
from service.reports.statistics import Estimate
from service.stores.rollout_sums import Cohort
from service.stores.rollup_visits import DAY_MS, WINDOWS_DAYS

_Z = 1.959963984540054
WINDOWS = {f"retention_{end}": place for place, (_, end) in enumerate(WINDOWS_DAYS)}
"""Places in `StaySums.n_old` and the like, by metric."""


class StaySums(NamedTuple):
    """What the units of a variant did after their first exposure."""

    n_units: int = 0
    n_returned: int = 0
    n_visits: int = 0
    dwell_s: int = 0
    sum_vv: int = 0
    sum_dd: int = 0
    sum_vd: int = 0
    n_old: tuple[int, ...] = (0,) * len(WINDOWS_DAYS)
    """Units whose window is over, by window."""
    n_seen: tuple[int, ...] = (0,) * len(WINDOWS_DAYS)
    """Those of them that were seen in it."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """A point of the curve: who was seen in a window of days after the first exposure."""

    from_day: int
    until_day: Annotated[int, Meta(description="not included")]
    units: Annotated[int, Meta(description="whose window was over before their epoch was")]
    seen: int
    share: Annotated[float | None, Meta(description="seen / units")]
    low: Annotated[float | None, Meta(description="95 %, for one look (Wilson)")]
    high: float | None


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """Visits of an arm's units; a unit that is there in two epochs counts in each."""

    units: int
    visits: Annotated[
        int, Meta(description="activity without a pause of 30 minutes, in 28 days from the first")
    ]
    visits_per_unit: float | None
    returned: Annotated[int, Meta(description="units with a second visit")]
    return_rate: Annotated[float | None, Meta(description="returned / units")]
    dwell_s: Annotated[
        int, Meta(description="seconds from the first to the last sign of life, of all visits")
    ]
    dwell_per_visit_s: Annotated[
        float | None, Meta(description="a visit of one sign of life counts as none")
    ]
    retention: list[Retention]


def sum_stays(
    cohorts: Iterable[Cohort], ends_ms: Mapping[int, int]
) -> dict[tuple[int, str], StaySums]:
    """Add up by epoch and variant; `ends_ms` says when each epoch ended, or what time it is."""
    found: dict[tuple[int, str], StaySums] = {}
    for each in cohorts:
        # The youngest of a day came at its end.
        age_days = (ends_ms[each.epoch] - (each.day + 1) * DAY_MS) / DAY_MS
        is_old = [age_days >= end for _, end in WINDOWS_DAYS]
        n_old = tuple(each.n_units * old for old in is_old)
        n_seen = tuple(n * old for n, old in zip(each.n_seen, is_old, strict=True))
        mine = StaySums._make((*each[3:10], n_old, n_seen))
        place = each.epoch, each.variant
        found[place] = add_stays([found.get(place, StaySums()), mine])
    return found


def add_stays(parts: Sequence[StaySums]) -> StaySums:
    """Add sums of several epochs."""
    columns = list(zip(*parts, strict=True))
    windows = [tuple(map(sum, zip(*column, strict=True))) for column in columns[7:]]
    return StaySums._make((*map(sum, columns[:7]), *windows))


def show_stay(sums: StaySums) -> Stay:
    """Say what sums come to."""
    return Stay(
        units=sums.n_units,
        visits=sums.n_visits,
        visits_per_unit=_divide(sums.n_visits, sums.n_units),
        returned=sums.n_returned,
        return_rate=_divide(sums.n_returned, sums.n_units),
        dwell_s=sums.dwell_s,
        dwell_per_visit_s=_divide(sums.dwell_s, sums.n_visits),
        retention=[
            _retention(*days, n_old, n_seen)
            for days, n_old, n_seen in zip(WINDOWS_DAYS, sums.n_old, sums.n_seen, strict=True)
        ],
    )


def estimate_stay(sums: StaySums, metric: str) -> Estimate | None:
    """Estimate ``return_rate``, ``visits_per_unit``, ``dwell_per_visit`` or ``retention_7``, ...

    Dwell is the seconds of a visit, where units differ in visits; retention is of units that are
    old enough.
    """
    match metric:
        case "return_rate":
            return statistics.mean_of(sums.n_units, sums.n_returned, sums.n_returned)
        case "visits_per_unit":
            return statistics.mean_of(sums.n_units, sums.n_visits, sums.sum_vv)
        case "dwell_per_visit":
            return statistics.ratio_of(
                sums.n_units,
                x=sums.n_visits,
                y=sums.dwell_s,
                xx=sums.sum_vv,
                yy=sums.sum_dd,
                xy=sums.sum_vd,
            )
    window = WINDOWS[metric]
    n_seen = sums.n_seen[window]
    return statistics.mean_of(sums.n_old[window], n_seen, n_seen)


def _retention(from_day: int, until_day: int, n_old: int, n_seen: int) -> Retention:
    low, high = wilson(n_seen, n_old) if n_old else (None, None)
    return Retention(
        from_day=from_day,
        until_day=until_day,
        units=n_old,
        seen=n_seen,
        share=_divide(n_seen, n_old),
        low=low,
        high=high,
    )


def wilson(n_hits: int, n: int) -> tuple[float, float]:
    """Return a share's 95 % interval, which is right for few and for none.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference.
    doi:10.1080/01621459.1927.10502953
    """
    share, spread = n_hits / n, _Z * _Z / n
    center = share + spread / 2
    margin = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return (
        max(0.0, (center - margin) / (1 + spread)),
        min(1.0, (center + margin) / (1 + spread)),
    )


def _divide(part: float, whole: float) -> float | None:
    return part / whole if whole else None
