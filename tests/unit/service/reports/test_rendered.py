"""Whether arms are drawn equally often: an alarm that chance does not set off."""

import numpy as np
import pytest

from service.reports.funnel import RenderedDifference, rendered_differences
from service.stores.event_schema import RENDERED
from service.stores.rollout_sums import Stage
from service.stores.rollup_folds import ASSIGNED


def difference(control: tuple[int, int], treated: tuple[int, int]) -> RenderedDifference:
    """Compare (served, rendered) of two arms."""
    stages = [
        Stage(variant, "p", "personal", "web", "DE", stage, n)
        for variant, counts in (("control", control), ("personal", treated))
        for stage, n in zip((ASSIGNED, RENDERED), counts, strict=True)
    ]
    [found] = rendered_differences(stages)
    return found


@pytest.mark.parametrize(
    ("control", "treated", "is_alarm"),
    [
        ((1_900, 1_862), (100, 100), False),
        ((20_000, 19_600), (900, 900), False),
        ((20_000, 19_600), (5_000, 5_000), True),
        ((20_000, 19_600), (5_000, 4_700), True),
        ((20_000, 19_600), (500, 0), True),
        ((20_000, 20_000), (5_000, 5_000), False),
    ],
)
def test_alarm_wants_more_than_chance(
    control: tuple[int, int], treated: tuple[int, int], is_alarm: bool
) -> None:
    """All of a hundred drawn beside 98 % is chance; all of 5,000, or none of 500, is not."""
    assert difference(control, treated).is_alarm is is_alarm


@pytest.mark.parametrize("rate", [0.99, 0.98, 0.95])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_arms_that_are_drawn_alike_raise_no_alarm(rate: float, share: float) -> None:
    """Of 300 tests, looked at 100 times, at most 1 % ever do; it was 35 % of them at 99 %."""
    rng = np.random.default_rng(23)
    steps = (round(20 * (1 - share) / share), 20)
    n_alarms = 0
    for _ in range(300):
        drawn = [rng.binomial(step, rate, 100).cumsum() for step in steps]
        n_alarms += any(
            difference((i * steps[0], int(c)), (i * steps[1], int(t))).is_alarm
            for i, (c, t) in enumerate(zip(*drawn, strict=True), 1)
        )
    assert n_alarms <= 3
