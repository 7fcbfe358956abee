"""Intervals that hold at every look at once: peek each hour and stop whenever you like.

Wider than an interval for one date fixed beforehand, and never wrong for having looked.
"""

from __future__ import annotations

import math

from service.reports.statistics import (
    Difference,
    Estimate,
    difference_variance,
    n_telling,
    quotient,
)

ALPHA = 0.05
TIGHTEST_AT = 500
"""Where the boundary is tightest; at ten times more or fewer it is a little wider. Of a share, so
many hits and a few more: 10,000 units of which 5 % buy."""
LEAST_UNITS = 100
"""Units an arm below which the limit that the boundary rests on says nothing."""


def boundary(n: float, *, alpha: float = ALPHA, tightest_at: int = TIGHTEST_AT) -> float:
    """Return how many standard errors hold after `n` of anything and at every other `n`.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024), Time-uniform central limit theory and
    asymptotic confidence sequences, Theorem 2.2 and appendix B.2. doi:10.1214/24-AOS2408
    """
    spending = -2 * math.log(alpha)
    rho_squared = (spending + math.log(spending + 1)) / tightest_at
    grown = n * rho_squared + 1
    return math.sqrt(2 * grown / (n * rho_squared) * math.log(math.sqrt(grown) / alpha))


def lowest_share(n_hits: int, n: int, *, alpha: float = ALPHA, tightest_at: int) -> float:
    """Return the low end of a share's always-valid interval; 0 below `LEAST_UNITS`."""
    if n < LEAST_UNITS:
        return 0.0
    share = n_hits / n
    margin = boundary(n, alpha=alpha, tightest_at=tightest_at) * math.sqrt(share * (1 - share) / n)
    return max(0.0, share - margin)


def always_valid_difference(
    control: Estimate | None, treatment: Estimate | None, *, alpha: float = ALPHA
) -> Difference | None:
    """Compare two means at any time; nothing below `LEAST_UNITS` in either arm."""
    if control is None or treatment is None or min(control.n, treatment.n) < LEAST_UNITS:
        return None
    value = treatment.value - control.value
    errors = boundary(_clock(control, treatment), alpha=alpha)
    margin = errors * math.sqrt(difference_variance(control, treatment))
    return Difference(value, value - margin, value + margin)


def always_valid_relative(
    control: Estimate | None, treatment: Estimate | None, *, alpha: float = ALPHA
) -> Difference | None:
    """Compare two means as treatment / control - 1 at any time; nothing where control may be 0."""
    if control is None or treatment is None or min(control.n, treatment.n) < LEAST_UNITS:
        return None
    return quotient(control, treatment, boundary(_clock(control, treatment), alpha=alpha))


def _clock(control: Estimate, treatment: Estimate) -> float:
    """Tell how far two means have come, by what varies in their sums: of a share p, n p (1 - p).

    Units alone stand still where the same ones are asked again and again while they buy on, and
    each look would have been free.
    """
    telling = (n_telling(one) * (1 - n_telling(one) / one.n) for one in (control, treatment))
    return max(1.0, sum(telling))
