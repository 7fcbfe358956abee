"""Whether units came in the declared shares, tested so that it may be looked at all the time."""

from __future__ import annotations

import math
from collections.abc import Sequence

CONCENTRATION = 10_000
"""Weight of the prior around the declared shares, in units: small departures are looked for."""


def sequential_sample_ratio_p(
    observed: Sequence[int], shares: Sequence[float], *, concentration: float = CONCENTRATION
) -> float | None:
    """Return a p-value of the declared shares that is valid at every look.

    It is the inverse of the Bayes factor of a Dirichlet prior around the declared shares against
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
    log_factor = math.lgamma(concentration) - math.lgamma(concentration + n)
    for count, share in zip(observed, shares, strict=True):
        prior = concentration * share / whole
        log_factor += math.lgamma(prior + count) - math.lgamma(prior)
        log_factor -= count * math.log(share / whole)
    return min(1.0, math.exp(min(0.0, -log_factor)))
