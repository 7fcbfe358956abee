"""How well a banner fits a visit, in a few grades, so that what a grade is worth can be learned."""

from __future__ import annotations

from types import MappingProxyType

PRIOR_LIFTS = MappingProxyType(
    {
        "none": 1.0,
        "popular": 1.1,
        "page_low": 1.1,
        "personal_low": 1.2,
        "personal_mid": 1.7,
        "page_high": 1.7,
        "personal_high": 2.5,
    }
)
"""How many times more often a banner is clicked that fits so well, before anything is learned."""
NO_FIT = "none"
FITS = tuple(PRIOR_LIFTS)
"""By rising lift. Of several a banner has the best."""

MID, HIGH = 0.15, 0.4
"""Affinities from which on a banner fits well, and as well as can be."""

_PERSONAL = ("personal_low", "personal_mid", "personal_high")


def fit_of(source: str, affinity: float) -> str:
    """Grade an affinity, which is at most 1 and above 0, to the history, the page or the many."""
    if source == "affinity":
        return _PERSONAL[(affinity >= MID) + (affinity >= HIGH)]
    if source == "page":
        return "page_high" if affinity >= HIGH else "page_low"
    return "popular"
