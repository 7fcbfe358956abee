"""The defaults that depend on what a data set's timestamps can tell; measured in docs/adr/0005."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from models.recommenders.moments import Moments


@dataclass(frozen=True, slots=True)
class Regime:
    """Exponents of the item graph and weights of the parts of the hybrid.

    Every part is scaled before it is weighed, so that the mean of its 20 best scores is 1.
    """

    user_exponent: float
    """Users of n items count n^-this in the graph."""
    from_exponent: float
    """An edge is divided by the speaking item's users to this power."""
    to_exponent: float
    """And by the spoken-for item's users to this one."""
    graph: float
    attributes: float
    spectral: float
    als: float
    popularity: float
    als_exponent: float
    """Scores of the ALS part are divided by the item's users to this power."""


WITHOUT_ORDER = Regime(
    user_exponent=0.5,
    from_exponent=0.5,
    to_exponent=0.4,
    graph=0.05,
    attributes=0.8,
    spectral=1.0,
    als=0.8,
    popularity=0.005,
    als_exponent=0.25,
)
WITH_ORDER = Regime(
    user_exponent=0.2,
    from_exponent=0.4,
    to_exponent=0.2,
    graph=1.0,
    attributes=0.8,
    spectral=0.25,
    als=0.6,
    popularity=0.005,
    als_exponent=0.0,
)
FOR_NEW_ITEMS = replace(WITHOUT_ORDER, user_exponent=1.2)
"""Of the graph that is mapped to the columns of new items."""
CLOCK_POPULARITY = 0.6
"""Of the popularity prior where every item has very many users."""
PRIOR_USERS = 50.0
"""With so many users an item on average, what is popular counts twice that."""
CLOCK_ALS_EXPONENT = 0.2


def regime_of(moments: Moments) -> Regime:
    """Interpolate between no order and full order; a real clock makes recent popularity count.

    It counts the more the fewer users an item has: where little is known of each, what speaks for
    one shopper is mostly chance, and what many want is not.
    """
    share = moments.orderedness
    between = {
        field.name: (1.0 - share) * getattr(WITHOUT_ORDER, field.name)
        + share * getattr(WITH_ORDER, field.name)
        for field in fields(Regime)
    }
    regime = Regime(**between)
    if moments.has_clock:
        popularity = CLOCK_POPULARITY * (1.0 + PRIOR_USERS / max(moments.users_per_item, 1.0))
        return replace(regime, popularity=popularity, als_exponent=CLOCK_ALS_EXPONENT)
    return regime
