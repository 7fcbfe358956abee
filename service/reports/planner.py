"""How many units, and days, it takes to see a lift of a size that is worth it. Pure."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

ALPHA = 0.05
POWER = 0.8


class Plan(NamedTuple):
    """What an experiment takes."""

    n_control: int
    n_treated: int
    days: float | None
    """Nothing where no unit comes."""

    @property
    def n_units(self) -> int:
        """Both arms."""
        return self.n_control + self.n_treated


def plan_conversion(
    baseline: float,
    lift: float,
    share: float,
    units_per_day: float | None,
    *,
    power: float = POWER,
) -> Plan | None:
    """Plan for a share of units that do something, such as buy.

    Parameters
    ----------
    baseline : float
        That share in control, 0 to 1.
    lift : float
        The smallest relative change worth seeing, not 0; 0.05 is five percent more.
    share : float
        Of the units that are treated, 0 to 1.
    units_per_day : float or None
        New units that the rollout meets in a day.
    power : float
        Share of such experiments that see it, above 0.5 and below 1.

    Returns
    -------
    Plan or None
        Nothing where no number of units tells: nobody does it, or everybody is in one arm.

    Notes
    -----
    For one look at the end, two-sided at 5 %, and seen in 80 % of such experiments:
    ``n = (z_0.975 + z_0.8)² (p_c (1 − p_c) / (1 − s) + p_t (1 − p_t) / s) / (p_t − p_c)²``.
    """
    treated = baseline * (1 + lift)
    if not (0 < baseline < 1 and 0 < treated < 1):
        return None
    spreads = baseline * (1 - baseline), treated * (1 - treated)
    return _plan(treated - baseline, spreads, share, units_per_day, power)


def plan_mean(
    baseline: float,
    spread: float,
    lift: float,
    share: float,
    units_per_day: float | None,
    *,
    power: float = POWER,
) -> Plan | None:
    """Plan for a mean over units, such as revenue; `spread` is its variance a unit, in both arms.

    A ratio of two means, such as clicks per exposure, has such a variance by the delta method. See
    `plan_conversion` for the rest.
    """
    if baseline <= 0 or spread <= 0:
        return None
    return _plan(baseline * lift, (spread, spread), share, units_per_day, power)


def _plan(
    difference: float,
    spreads: tuple[float, float],
    share: float,
    units_per_day: float | None,
    power: float,
) -> Plan | None:
    if not 0 < share < 1 or difference == 0:
        return None
    normal = NormalDist()
    z = normal.inv_cdf(1 - ALPHA / 2) + normal.inv_cdf(power)
    n = z * z * (spreads[0] / (1 - share) + spreads[1] / share) / difference**2
    return Plan(
        n_control=math.ceil(n * (1 - share)),
        n_treated=math.ceil(n * share),
        days=n / units_per_day if units_per_day else None,
    )
