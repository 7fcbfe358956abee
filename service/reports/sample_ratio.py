"""Whether units came in the declared shares, tested so that it may be looked at all the time."""

from __future__ import annotations

import math
from collections.abc import Sequence

CONCENTRATIONS = (10.0, 100.0, 1_000.0, 10_000.0)
"""Weights of the priors around the declared shares, in units. A heavy one finds small departures
among many units, a light one large departures among few; the mean of their factors finds both."""


def sequential_sample_ratio_p(
    observed: Sequence[int],
    shares: Sequence[float],
    *,
    concentrations: Sequence[float] = CONCENTRATIONS,
) -> float | None:
    """Return a p-value of the declared shares that is valid at every look.

    It is the inverse of the Bayes factor of Dirichlet priors around the declared shares against
    the shares themselves, a martingale while they hold. Nothing with fewer than two arms, without
    a unit, or where an arm has no share.

    References
    ----------
    Lindon, Malek (2022), Anytime-valid inference for multinomial count data, section 3.
    arXiv:2011.03567
    """
    n, whole = sum(observed), sum(shares)
    if len(observed) < 2 or n == 0 or min(shares) <= 0:
        return None
    expected = [share / whole for share in shares]
    logs = [_log_factor(observed, expected, each) for each in concentrations]
    largest = max(logs)
    mean = largest + math.log(sum(math.exp(each - largest) for each in logs) / len(logs))
    return math.exp(min(0.0, -mean))


def _log_factor(observed: Sequence[int], shares: Sequence[float], concentration: float) -> float:
    found = math.lgamma(concentration) - math.lgamma(concentration + sum(observed))
    for count, share in zip(observed, shares, strict=True):
        prior = concentration * share
        found += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return found
