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
    baseline: float, lift: float, share: float, units_per_day: float | None
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
    if not (0 < baseline < 1 and 0 < treated < 1 and 0 < share < 1) or lift == 0:
        return None
    normal = NormalDist()
    z = normal.inv_cdf(1 - ALPHA / 2) + normal.inv_cdf(POWER)
    spread = baseline * (1 - baseline) / (1 - share) + treated * (1 - treated) / share
    n = z * z * spread / (treated - baseline) ** 2
    return Plan(
        n_control=math.ceil(n * (1 - share)),
        n_treated=math.ceil(n * share),
        days=n / units_per_day if units_per_day else None,
    )
