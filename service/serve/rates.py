"""Learned click rates as serving reads them: of one period, with draws from each of them.

A draw is one guess at all rates at once. The guesses are fixed for the period and the same in every
worker, so the share of them in which a banner is the best is its exact chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.exposure import Candidate
from service.serve.exploration import MS_PER_HOUR
from service.serve.learned import Lottery, weighed
from service.stores.banner_rates import (
    ALL_PLACEMENTS,
    ALL_SEGMENTS,
    ANY_FIT,
    NEW_BANNER,
    PublishedRates,
    StoredLift,
    StoredRate,
)

N_DRAWS = 256
MAX_DRAWS_KEPT = 64
"""For one placement and segment."""

Draws = NDArray[np.float32]


class Draw(NamedTuple):
    """What a slate is drawn from."""

    lottery: Lottery
    candidates: tuple[Candidate, ...]


class Cell:
    """What is believed of the banners of one placement, for one segment."""

    def __init__(
        self, published: PublishedRates, rates: Sequence[StoredRate], *, is_segment: bool
    ) -> None:
        self.is_segment = is_segment
        """Whether it is of a segment, and not of all shoppers."""
        self._period = published.period
        self._lifts = {lift.fit: lift for lift in published.lifts}
        self._rates = {(rate.banner_id, rate.fit): rate for rate in rates}
        self._draws: dict[tuple[str, str], Draws] = {}
        self._made: dict[tuple[object, ...], Draw] = {}

    def draw_of(
        self, banner_ids: Sequence[str], fits: Sequence[str], weights: Sequence[float], k: int
    ) -> Draw:
        """Return what `k` positions are drawn from; the same for all whom the same banners fit."""
        key = (*banner_ids, *fits, *weights, k)
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= MAX_DRAWS_KEPT:
                self._made.clear()
            made = self._made[key] = self._make(banner_ids, fits, weights, k)
        return made

    def rates(self, banners: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Return the expected click rates of banners that fit so well, shape (n_banners,)."""
        return np.array([self._rate(*banner).rate for banner in banners])

    def draws(self, banners: Sequence[tuple[str, str]]) -> Draws:
        """Return guesses at the click rates, shape (n_banners, N_DRAWS)."""
        return np.stack([self._draw(*banner) for banner in banners])

    def _make(
        self, banner_ids: Sequence[str], fits: Sequence[str], weights: Sequence[float], k: int
    ) -> Draw:
        if not banner_ids:
            return Draw(Lottery(np.empty(0), np.empty((0, N_DRAWS), dtype=np.float32), 0), ())
        banners = list(zip(banner_ids, fits, strict=True))
        scores = weighed(self.rates(banners), weights)
        candidates = zip(banner_ids, scores.tolist(), fits, strict=True)
        return Draw(
            Lottery(scores, weighed(self.draws(banners), weights), k),
            tuple(Candidate(one, round(score, 8), fit) for one, score, fit in candidates),
        )

    def warm_up(self) -> None:
        """Make the draws of what was seen before."""
        for banner_id, fit in list(self._rates):
            if fit != ANY_FIT:
                self._draw(banner_id, fit)

    def _rate(self, banner_id: str, fit: str) -> StoredRate:
        """Find a rate; of a fit that was not seen yet, from the rate at any."""
        found = self._rates.get((banner_id, fit))
        if found is None:
            known = self._rates.get((banner_id, ANY_FIT)) or self._rates[NEW_BANNER, ANY_FIT]
            found = _lifted(known, self._lifts.get(fit))._replace(banner_id=banner_id, fit=fit)
            self._rates[banner_id, fit] = found
        return found

    def _draw(self, banner_id: str, fit: str) -> Draws:
        draws = self._draws.get((banner_id, fit))
        if draws is None:
            found = self._rate(banner_id, fit)
            rng = np.random.default_rng(_seed(self._period, found))
            a = found.rate * found.strength
            draws = rng.beta(a, found.strength - a, N_DRAWS).astype(np.float32)
            self._draws[banner_id, fit] = draws
        return draws


class RateTable:
    """All that is published for one period."""

    def __init__(self, published: PublishedRates) -> None:
        self.period = published.period
        places: dict[tuple[str, str], list[StoredRate]] = {}
        for rate in published.rates:
            places.setdefault((rate.placement_id, rate.segment), []).append(rate)
        self._cells = {
            place: Cell(published, rates, is_segment=place[1] != ALL_SEGMENTS)
            for place, rates in places.items()
            if place[0] != ALL_PLACEMENTS
        }

    def cell(self, placement_id: str, segment: str) -> Cell | None:
        """Find what a placement's slate is chosen by; nothing while too little is known of it."""
        found = self._cells.get((placement_id, segment))
        return self._cells.get((placement_id, ALL_SEGMENTS)) if found is None else found

    def warm_up(self) -> None:
        """Make all draws, so that no request has to."""
        for cell in self._cells.values():
            cell.warm_up()


class RateBook:
    """The tables of this period and of those beside it."""

    def __init__(self, period_ms: int = MS_PER_HOUR) -> None:
        self.period_ms = period_ms
        self._tables: tuple[RateTable, ...] = ()

    def put(self, published: Sequence[PublishedRates]) -> None:
        """Replace the tables, whose draws are made in the calling thread."""
        known = {table.period: table for table in self._tables}
        tables = [known.get(one.period) or RateTable(one) for one in published]
        for table in tables:
            table.warm_up()
        self._tables = tuple(sorted(tables, key=lambda table: -table.period))

    def at(self, now_ms: int) -> RateTable | None:
        """Return the table of this period, else the newest before it."""
        if not self._tables:
            return None
        period = now_ms // self.period_ms
        for table in self._tables:
            if table.period <= period:
                return table
        return None


def _lifted(rate: StoredRate, lift: StoredLift | None) -> StoredRate:
    """Multiply a rate by a lift; what is unsure about the lift makes the product less sure."""
    if lift is None:
        return rate
    variance = rate.rate * (1 - rate.rate) / (rate.strength + 1) + rate.rate**2 / lift.clicks
    lifted = min(rate.rate * lift.lift, 0.5)
    strength = lifted * (1 - lifted) / (variance * lift.lift**2) - 1
    return rate._replace(rate=lifted, strength=max(strength, 1.0))


def _seed(period: int, rate: StoredRate) -> int:
    parts = (str(period), rate.placement_id, rate.segment, rate.banner_id, rate.fit)
    encoded = [part.encode() for part in parts]
    joined = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
    return int.from_bytes(blake2b(joined, digest_size=16).digest(), "big")
