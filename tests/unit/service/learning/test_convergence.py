"""A simulated shop whose truth is known: what learning earns, and that chance makes no winner."""

from functools import cache

import numpy as np
import pytest

from service.learning.click_rates import learn_click_rates
from service.serve.exploration import draw_seed
from service.serve.rates import RateTable
from service.stores.banner_counts import BannerCount
from service.stores.banner_rates import ALL_SEGMENTS, PublishedRates

IDS = [f"b{number}" for number in range(6)]
TRUTH = np.array(
    [
        [0.06, 0.03, 0.02, 0.02, 0.03, 0.01],
        [0.02, 0.02, 0.06, 0.03, 0.01, 0.03],
        [0.02, 0.05, 0.02, 0.02, 0.06, 0.02],
    ]
)
"""Click rates, shape (3 segments, 6 banners)."""
FITTING = (0, 1, 1)
"""The banner that fits a shopper's history, by segment; in two it is not the best."""
ALIKE = np.full((3, 6), 0.04)
HOURS, VISITS = 60, 600


class Simulation:
    """Hours of visits under one policy: `learned`, `affinity` or `uniform`."""

    def __init__(self, policy: str, truth: np.ndarray, seed: int) -> None:
        self.truth = truth
        self.seen, self.clicked = np.zeros((3, 6)), np.zeros((3, 6))
        self.regret = np.zeros(HOURS)
        self._rng = np.random.default_rng(seed)
        self._policy = policy
        for hour in range(HOURS):
            self._live(hour)

    def learn(self, hour: int) -> RateTable:
        """Learn from all before this hour."""
        counts = [
            BannerCount(
                "hero", 1, f"s{segment}", _fits(segment)[one], IDS[one],
                self.seen[segment, one], 0, 0, self.clicked[segment, one], 0,
            )
            for segment in range(3)
            for one in range(6)
        ]  # fmt: skip
        learned = learn_click_rates(counts, set(IDS), {"hero"})
        return RateTable(PublishedRates(hour, tuple(learned.rates), tuple(learned.lifts)))

    def _live(self, hour: int) -> None:
        table = self.learn(hour) if self._policy == "learned" and self.clicked.sum() else None
        for unit in range(VISITS):
            segment = int(self._rng.integers(3))
            one = self._choose(table, segment, f"{hour}/{unit}")
            self.seen[segment, one] += 1
            self.clicked[segment, one] += self._rng.random() < self.truth[segment, one]
            self.regret[hour] += self.truth[segment].max() - self.truth[segment, one]

    def _choose(self, table: RateTable | None, segment: int, unit: str) -> int:
        cell = None if table is None else table.cell("hero", f"s{segment}")
        if self._policy == "uniform":
            return int(self._rng.integers(6))
        if cell is None:
            return FITTING[segment]
        seed = draw_seed("user_id", unit, "hero", 0)
        draw = cell.draw_of(IDS, _fits(segment), [1.0] * 6, 1)
        return draw.lottery.play(0.2, seed)[0].number


def _fits(segment: int) -> list[str]:
    return ["personal_high" if FITTING[segment] == one else "none" for one in range(6)]


def _fitted(segment: int) -> list[tuple[str, str]]:
    return list(zip(IDS, _fits(segment), strict=True))


@cache
def simulate(policy: str, seed: int) -> Simulation:
    """Run it once for all tests."""
    return Simulation(policy, TRUTH, seed)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_learning_earns_more_than_affinity_and_chance(seed: int) -> None:
    """Of 36,000 visits: at most half of what affinity alone loses, a third in the second half."""
    learned, affinity = simulate("learned", seed).regret, simulate("affinity", seed).regret
    uniform = simulate("uniform", seed).regret
    late = slice(HOURS // 2, None)
    assert learned.sum() < 0.5 * affinity.sum()
    assert learned.sum() < 0.33 * uniform.sum()
    assert learned[late].sum() < 0.33 * affinity[late].sum()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_learned_rates_cover_the_truth(seed: int) -> None:
    """Of 18 rates at most two lie more than three deviations from the truth."""
    table = simulate("learned", seed).learn(HOURS)
    missed = 0
    for segment in range(3):
        cell = table.cell("hero", f"s{segment}")
        assert cell is not None
        rates, draws = cell.rates(_fitted(segment)), cell.draws(_fitted(segment))
        missed += int((np.abs(rates - TRUTH[segment]) > 3 * draws.std(axis=1)).sum())
    assert missed <= 2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_banners_that_are_alike_do_not_run_away(seed: int) -> None:
    """Six times the same banner: each is still shown, and none is believed a third better."""
    alike = Simulation("learned", ALIKE, seed)
    shares = alike.seen.sum(axis=0) / alike.seen.sum()
    assert shares.min() > 0.005
    table = alike.learn(HOURS)
    cell = table.cell("hero", ALL_SEGMENTS)
    assert cell is not None
    assert cell.rates([(one, "none") for one in IDS]).max() < 1.33 * 0.04
