"""Live visits: who comes, how many at a time, and at which pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.simulation.browsing import Browsing, Visit, browse

_CATCH_UP_S = 0.25


@dataclass(frozen=True, slots=True)
class Pace:
    """How hard the shoppers press."""

    visits_per_s: float
    """Visits that begin per second; 0 means as fast as the service answers."""
    n_at_once: int = 16
    """Visits that go on at one time, at most; the storefront has a client for each."""


async def send_visitors(
    shop: Browsing,
    pace: Pace,
    stop: asyncio.Event,
    *,
    run_id: str,
    clock: Callable[[], float],
) -> None:
    """Let shoppers come until `stop` is set, and then finish the visits that have begun."""
    config = shop.world.config
    arrivals = config.rng("traffic")
    weights = np.cumsum(shop.world.shoppers.activity)
    turn = _Turnstile(pace.visits_per_s, clock)

    async def visitors() -> None:
        while not stop.is_set():
            await turn.wait()
            number = shop.counters.n_visits
            row = int(np.searchsorted(weights, arrivals.random() * weights[-1], side="right"))
            intent = shop.world.draw_intents(np.array([row]), arrivals)[0]
            visit = Visit(
                id=f"{run_id}-{number}",
                shopper_row=row,
                intent_leaf=int(intent),
                is_anonymous=bool(arrivals.random() < config.anonymous_share),
                has_consent=bool(arrivals.random() >= config.unwilling_share),
                rng=np.random.default_rng([config.seed, 99, number]),
            )
            await browse(shop, visit)

    async with asyncio.TaskGroup() as group:
        for _ in range(pace.n_at_once):
            group.create_task(visitors())


class _Turnstile:
    """Lets visitors in one by one, a pace apart; after a stall it makes up for a moment only."""

    def __init__(self, per_s: float, clock: Callable[[], float]) -> None:
        self._gap_s = 1.0 / per_s if per_s > 0 else 0.0
        self._clock = clock
        self._next_at = clock()

    async def wait(self) -> None:
        """Wait for the next turn."""
        now = self._clock()
        at = max(self._next_at, now - _CATCH_UP_S)
        self._next_at = at + self._gap_s
        await asyncio.sleep(max(0.0, at - now))
