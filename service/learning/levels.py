"""Shrinkage of click rates from level to level, by an amount that the counts tell. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BANNER_CLICKS, LOWER_CLICKS = 4.0, 5.0
"""How many clicks the level above is usually worth: to a banner, and below it."""
LOG_SPREAD = 1.5
"""How far from usual it may be: the deviation of its logarithm."""

_GRID = np.geomspace(1.0, 10_000.0, 81)


class Level(NamedTuple):
    """The rates of some groups, relative to what would be expected of them."""

    rate: Floats
    variance: Floats


EVERYWHERE = Level(np.ones(()), np.zeros(()))
"""Above all levels: what is expected is so."""


def fit_strength(seen: Floats, clicked: Floats, expected: Floats, *, usual: float) -> float:
    """Find how many clicks the expected rates are worth beside the counts of the groups.

    The groups' rates are taken for draws from Beta distributions with the expected rates as their
    means; the strength is the most likely one, under a log-normal prior around `usual`.

    Parameters
    ----------
    seen, clicked, expected : ndarray, shape (n_groups,)
        Exposures, clicks, and the rates expected without knowing the group, in (0, 1).
    usual : float

    References
    ----------
    Griffiths (1973), Maximum likelihood estimation for the beta-binomial distribution.
    doi:10.2307/2529131
    """
    from scipy.special import betaln  # noqa: PLC0415  # 21 MB a worker, for what few do

    a = _GRID[:, None]
    b = a * (1 / expected - 1)
    likelihood = (betaln(clicked + a, seen - clicked + b) - betaln(a, b)).sum(axis=1)
    prior = -0.5 * (np.log(_GRID / usual) / LOG_SPREAD) ** 2
    return float(_GRID[np.argmax(likelihood + prior)])


def shrink(seen: Floats, clicked: Floats, expected: Floats, above: Level, strength: float) -> Level:
    """Mix what groups did with the level above, which is worth `strength` clicks.

    `expected` is the rate of a group whose relative rate is 1. What is uncertain about the level
    above stays uncertain, as far as it weighs here.
    """
    mean = np.clip(expected * above.rate, 1e-6, 0.5)
    worth = strength / mean
    posterior = (clicked + strength) / (seen + worth)
    weight = worth / (seen + worth)
    own = posterior * (1 - posterior) / (seen + worth + 1)
    return Level(posterior / expected, own / expected**2 + weight**2 * above.variance)
