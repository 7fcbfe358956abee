"""What makes banners clicked more or less often, taken apart: place, segment, fit, banner. Pure.

A product of factors, each fitted to what the others leave and shrunk where little was seen. So a
banner is not called good because it stood high, or was shown to those whom it fits.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.fits import PRIOR_LIFTS
from service.learning.levels import BANNER_CLICKS, EVERYWHERE, Level, fit_strength, shrink
from service.stores.banner_counts import BannerCount

Floats = NDArray[np.float64]
K = TypeVar("K", bound=Hashable)

FIRST_RATE, FIRST_CLICKS = 0.01, 1.0
"""What is believed of all banners before the first exposure, and how many clicks that is worth."""
PLACE_CLICKS, SEGMENT_CLICKS, LIFT_CLICKS = 5.0, 10.0, 5.0
"""Clicks that the overall rate, a place's rate, and the lift known beforehand are worth."""
MOST_CLICKS = 5.0
"""Clicks by which a banner at most tells of a segment: else one that is shown to it nearly alone
and disliked would make it a segment that clicks little."""
ROUNDS = 20


class Groups(Generic[K]):
    """The rows that share a key."""

    def __init__(self, keys: Sequence[K]) -> None:
        self.numbers: dict[K, int] = {}
        numbers = self.numbers
        self.of_row = np.array(
            [numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp
        )

    def sum(self, values: Floats) -> Floats:
        """Add up by group."""
        summed = np.bincount(self.of_row, weights=values, minlength=len(self.numbers))
        return summed.astype(np.float64)  # of no rows it would be of integers


class Effects:
    """The factors of the rows of `counts`, of which all were seen."""

    def __init__(self, counts: Sequence[BannerCount], seen: Floats, clicked: Floats) -> None:
        self.seen, self.clicked = seen, clicked
        self.places = Groups([(count.placement_id, count.position) for count in counts])
        self.segments = Groups([(count.placement_id, count.segment) for count in counts])
        self.fits = Groups([count.fit for count in counts])
        self.banners = Groups([count.banner_id for count in counts])
        self.overall = float(clicked.sum() + FIRST_CLICKS) / float(
            seen.sum() + FIRST_CLICKS / FIRST_RATE
        )
        self.place = np.ones(len(self.places.numbers))
        self.segment = np.ones(len(self.segments.numbers))
        lifts = [PRIOR_LIFTS.get(fit, 1.0) for fit in self.fits.numbers]
        self.lift = self._prior_lift = np.array(lifts)
        self.banner = Level(np.ones(len(self.banners.numbers)), np.zeros(len(self.banners.numbers)))
        self.strength = BANNER_CLICKS
        """How many clicks the rate of all banners is worth beside one's own."""
        for _ in range(ROUNDS):
            self._improve()

    @property
    def expected(self) -> Floats:
        """The rate of each row if all banners were alike, shape (n_rows,)."""
        rate = self.overall * self.place[self.places.of_row] * self.segment[self.segments.of_row]
        found: Floats = np.clip(rate * self.lift[self.fits.of_row], 1e-6, 0.5)
        return found

    def _improve(self) -> None:
        self.place = self._factor(self.places, self.place, PLACE_CLICKS)
        self.segment = self._factor(self.segments, self.segment, SEGMENT_CLICKS, MOST_CLICKS)
        self._level_segments()
        without = self.lift / self._prior_lift
        self.lift = self._prior_lift * self._factor(self.fits, without, LIFT_CLICKS)
        none = self.fits.numbers.get("none")
        if none is not None:  # what the grades share belongs to the places
            self.place *= self.lift[none]
            self.lift = self.lift / self.lift[none]
        seen, clicked = self.banners.sum(self.seen), self.banners.sum(self.clicked)
        expected = self.banners.sum(self.seen * self.expected) / seen
        self.strength = fit_strength(seen, clicked, expected, usual=BANNER_CLICKS)
        self.banner = shrink(seen, clicked, expected, EVERYWHERE, self.strength)

    def _level_segments(self) -> None:
        """Give the places what the segments of a placement share, so that their mean is 1."""
        weight = self.segments.sum(self.seen)
        placements = Groups([placement_id for placement_id, _ in self.segments.numbers])
        mean = placements.sum(weight * self.segment) / placements.sum(weight)
        self.segment = self.segment / mean[placements.of_row]
        of_place = [placements.numbers[placement_id] for placement_id, _ in self.places.numbers]
        self.place = self.place * mean[np.array(of_place, dtype=np.intp)]

    def _factor(
        self, groups: Groups[K], now: Floats, worth: float, most: float | None = None
    ) -> Floats:
        """Divide the clicks of each group by those that the other factors expect.

        With `most`, a row of many clicks tells no more than one of so many: what sets it apart may
        be its own.
        """
        expected = self.seen * self.expected * self.banner.rate[self.banners.of_row]
        weight = np.ones_like(expected) if most is None else most / (most + expected)
        others = groups.sum(weight * expected) / now
        factor: Floats = (groups.sum(weight * self.clicked) + worth) / (others + worth)
        return factor
