"""What counts as a banner that was seen: the furthest report that clients of a placement make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.stores.banner_counts import BannerCount

Grade = Literal["assigned", "rendered", "viewable"]

REPORTED_SHARE = 0.2
"""Share of a placement's slates from which on its clients are taken to report a grade."""


def grades_of(counts: Iterable[BannerCount]) -> dict[str, Grade]:
    """Choose for each placement how far a slate must have got to count."""
    sums: dict[str, list[float]] = {}
    for count in counts:
        total = sums.setdefault(count.placement_id, [0.0, 0.0, 0.0])
        total[0] += count.n_assigned
        total[1] += count.n_rendered
        total[2] += count.n_viewable
    return {
        placement_id: (
            "viewable"
            if viewable > REPORTED_SHARE * assigned
            else "rendered"
            if rendered > REPORTED_SHARE * assigned
            else "assigned"
        )
        for placement_id, (assigned, rendered, viewable) in sums.items()
    }


def seen_and_clicked(
    counts: list[BannerCount], grades: dict[str, Grade]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how often each was seen, and clicked; what was clicked was seen."""
    clicked = np.array([count.n_clicked for count in counts])
    seen = np.array([_seen(count, grades[count.placement_id]) for count in counts])
    return np.maximum(seen, clicked), clicked


def _seen(count: BannerCount, grade: Grade) -> float:
    if grade == "viewable":
        return count.n_viewable
    return count.n_rendered if grade == "rendered" else count.n_assigned
