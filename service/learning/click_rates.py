"""Click rates of banners out of counts: a Beta distribution each, shrunk level by level. Pure.

A banner's rate in a placement for a segment of shoppers is shrunk to its rate in that placement,
that to what the banner does everywhere, and that to what all banners do. How far is read from the
counts: where banners differ little, little is believed of a difference.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.fits import PRIOR_LIFTS
from service.learning.effects import LIFT_CLICKS, Effects, Floats, Groups
from service.learning.levels import EVERYWHERE, LOWER_CLICKS, Level, fit_strength, shrink
from service.learning.seen import grades_of, seen_and_clicked
from service.stores.banner_counts import BannerCount
from service.stores.banner_rates import (
    ALL_PLACEMENTS,
    ALL_SEGMENTS,
    ANY_FIT,
    NEW_BANNER,
    StoredLift,
    StoredRate,
)

Wanted = list[tuple[int, str]]
"""Columns and ids of banners."""

MIN_CLICKS = 10.0
"""Faded clicks in a placement from which on its banners are ranked by what is learned."""


class ClickRates(NamedTuple):
    """What is learned."""

    rates: list[StoredRate]
    """At the first position."""
    lifts: list[StoredLift]


def learn_click_rates(
    counts: Sequence[BannerCount], banner_ids: Collection[str], placement_ids: Collection[str]
) -> ClickRates:
    """Estimate the rates of these banners in these placements, and the lift of each fit.

    Counts of others are learned from too. A rate is given for every banner that was seen, in every
    placement with `MIN_CLICKS` and for every segment seen there; `NEW_BANNER` stands for any other.
    """
    counts = list(counts)
    seen, clicked = seen_and_clicked(counts, grades_of(counts))
    is_seen = seen > 0
    counts = [count for count, kept in zip(counts, is_seen, strict=True) if kept]
    effects = Effects(counts, seen[is_seen], clicked[is_seen])
    return ClickRates(_Levels(effects, counts).rates(banner_ids, placement_ids), _lifts(effects))


def _lifts(effects: Effects) -> list[StoredLift]:
    clicks = effects.fits.sum(effects.clicked)
    lifts = []
    for fit, prior in PRIOR_LIFTS.items():
        row = effects.fits.numbers.get(fit)
        n_clicks = LIFT_CLICKS if row is None else LIFT_CLICKS + float(clicks[row])
        lifts.append(StoredLift(fit, prior if row is None else float(effects.lift[row]), n_clicks))
    return lifts


class _Levels:
    """The rates of banners everywhere, by placement, by segment in it, and by fit in that.

    Arrays have a column for each banner, and a last one for a banner that nothing is known of.
    """

    def __init__(self, effects: Effects, counts: Sequence[BannerCount]) -> None:
        self.effects = effects
        self.banner_ids = [*effects.banners.numbers, NEW_BANNER]
        self.placements = Groups([count.placement_id for count in counts])
        self.segments = Groups([count.segment for count in counts])
        placement, segment = self.placements.of_row, self.segments.of_row
        fit, banner = effects.fits.of_row, effects.banners.of_row
        n_placements, n_segments = len(self.placements.numbers), len(self.segments.numbers)
        n_fits, n_banners = len(effects.fits.numbers), len(self.banner_ids)
        self.everywhere, _ = self._shrink((n_banners,), (banner,), EVERYWHERE, effects.strength)
        self.in_placement, _ = self._shrink(
            (n_placements, n_banners), (placement, banner), self.everywhere
        )
        self.in_segment, _ = self._shrink(
            (n_placements, n_segments, n_banners),
            (placement, segment, banner),
            Level(self.in_placement.rate[:, None], self.in_placement.variance[:, None]),
        )
        above = Level(self.in_segment.rate[:, :, None], self.in_segment.variance[:, :, None])
        unsure = 1 / (LIFT_CLICKS + effects.fits.sum(effects.clicked))
        self.of_fit, self.fit_seen = self._shrink(
            (n_placements, n_segments, n_fits, n_banners),
            (placement, segment, fit, banner),
            Level(above.rate, above.variance + above.rate**2 * unsure[:, None]),
        )

    def rates(
        self, banner_ids: Collection[str], placement_ids: Collection[str]
    ) -> list[StoredRate]:
        """List the rates of the wanted banners and placements, at all levels."""
        overall = self.effects.overall
        wanted = [
            (number, banner_id)
            for number, banner_id in enumerate(self.banner_ids)
            if banner_id in banner_ids or banner_id == NEW_BANNER
        ]
        found = _stored((ALL_PLACEMENTS, ALL_SEGMENTS), ANY_FIT, overall, self.everywhere, wanted)
        clicks = self.placements.sum(self.effects.clicked)
        for placement_id, row in self.placements.numbers.items():
            if placement_id not in placement_ids or clicks[row] < MIN_CLICKS:
                continue
            base = overall * self._first_place(placement_id)
            here = Level(self.in_placement.rate[row], self.in_placement.variance[row])
            found += _stored((placement_id, ALL_SEGMENTS), ANY_FIT, base, here, wanted)
            for segment, column in self.segments.numbers.items():
                if (placement_id, segment) in self.effects.segments.numbers:
                    found += self._of_segment((placement_id, segment), (row, column), base, wanted)
        return found

    def _of_segment(
        self, place: tuple[str, str], at: tuple[int, int], base: float, wanted: Wanted
    ) -> list[StoredRate]:
        here = Level(self.in_segment.rate[at], self.in_segment.variance[at])
        found = _stored(place, ANY_FIT, base, here, wanted)
        for fit, number in self.effects.fits.numbers.items():
            seen = [one for one in wanted if self.fit_seen[(*at, number, one[0])]]
            where = (*at, number)
            level = Level(self.of_fit.rate[where], self.of_fit.variance[where])
            lifted = base * float(self.effects.lift[number])
            found += _stored(place, fit, lifted, level, seen)
        return found

    def _shrink(
        self,
        shape: tuple[int, ...],
        groups: tuple[NDArray[np.intp], ...],
        above: Level,
        strength: float | None = None,
    ) -> tuple[Level, NDArray[np.bool_]]:
        """Work out a level, and which of its groups were seen.

        Without a strength it is fitted to banners that have several groups.
        """
        effects = self.effects
        flat = np.ravel_multi_index(groups, shape) if len(groups[0]) else groups[0]

        def total(values: Floats) -> Floats:
            summed = np.bincount(flat, weights=values, minlength=int(np.prod(shape)))
            return summed.astype(np.float64).reshape(shape)

        seen, clicked = total(effects.seen), total(effects.clicked)
        expected = total(effects.seen * effects.expected)
        expected = np.divide(expected, seen, out=np.full(shape, effects.overall), where=seen > 0)
        if strength is None:
            usable = (seen > 0) & ((seen > 0).sum(axis=-2, keepdims=True) > 1)
            mean = np.clip(expected * above.rate, 1e-6, 0.5)
            strength = fit_strength(seen[usable], clicked[usable], mean[usable], usual=LOWER_CLICKS)
        return shrink(seen, clicked, expected, above, strength), seen > 0

    def _first_place(self, placement_id: str) -> float:
        """Return the factor of the highest position of a placement that was seen."""
        places = self.effects.places.numbers
        number = min((key[1], row) for key, row in places.items() if key[0] == placement_id)[1]
        return float(self.effects.place[number])


def _stored(
    place: tuple[str, str], fit: str, base: float, level: Level, wanted: Wanted
) -> list[StoredRate]:
    found = []
    for number, banner_id in wanted:
        rate = min(float(level.rate[number]) * base, 0.5)
        spread = max(float(level.variance[number]) * base**2, 1e-12)
        strength = max(rate * (1 - rate) / spread - 1, 1.0)
        found.append(StoredRate(*place, banner_id, fit, rate, strength))
    return found
