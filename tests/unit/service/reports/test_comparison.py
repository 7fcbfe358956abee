"""Differences that are shown have an interval that means something."""

import numpy as np
import pytest
from scipy.special import stdtrit

from service.reports.comparison import compare
from service.reports.confidence_sequence import always_valid_relative, boundary
from service.reports.report import make_report
from service.reports.statistics import Difference, Estimate, comparable, mean_of, n_telling
from service.stores.rollout_sums import ArmSums, People, RolloutSums


def arm(variant: str, n: int, n_buyers: int) -> ArmSums:
    """Let every unit see one slate, and the first of them buy one thing for 10."""
    nothing = ArmSums(1, variant, *(0 for _ in ArmSums._fields[2:]))
    money = 10.0 * n_buyers
    return nothing._replace(
        n_units=n,
        n_exposures=n,
        sum_xx=n,
        n_buyers=n_buyers,
        revenue=money,
        sum_revenue_squared=10 * money,
        capped=money,
        sum_capped_squared=10 * money,
    )


def test_units_that_all_did_the_same_are_too_few_for_an_interval() -> None:
    """Three that bought beside three that did not: no width, so no interval and no p-value."""
    for each in compare("personal", [(arm("control", 3, 3), arm("personal", 3, 0))]):
        assert (each.absolute, each.relative, each.p_value) == (None, None, None)


def test_arm_without_a_buyer_is_compared_with_the_spread_of_the_other() -> None:
    """None of a thousand bought where fifty were to be expected: that is worse, by how much too."""
    found = compare("personal", [(arm("control", 1000, 50), arm("personal", 1000, 0))])
    by_metric = {each.metric: each for each in found}
    for metric in ("conversion", "revenue_per_unit"):
        each = by_metric[metric]
        for interval in (each.absolute, each.relative, each.always_valid_relative):
            assert interval is not None
            assert interval.low <= interval.value < interval.high < 0
        assert each.relative is not None
        assert each.relative.value == -1.0
        assert each.p_value is not None
        assert each.p_value < 1e-6


@pytest.mark.parametrize(
    ("control", "treated"),
    [
        ((2_473, 25), (127, 0)),
        ((1_900, 57), (100, 0)),
        ((500, 19), (500, 19)),
        ((100, 0), (900, 9)),
    ],
)
def test_few_buyers_are_no_figure(control: tuple[int, int], treated: tuple[int, int]) -> None:
    """Below twenty, had or to be expected, nothing is said, and nothing is sure."""
    found = compare("personal", [(arm("control", *control), arm("personal", *treated))])
    (each,) = (one for one in found if one.metric == "conversion")
    shown = (each.absolute, each.relative, each.always_valid, each.always_valid_relative)
    assert (*shown, each.p_value) == (None,) * 5


@pytest.mark.parametrize(
    ("rate", "share", "n_units"),
    [(0.02, 0.05, 20_000), (0.03, 0.05, 48_000), (0.03, 0.1, 20_000), (0.02, 0.5, 6_000)],
)
def test_lift_survives_peeking_where_few_buy(rate: float, share: float, n_units: int) -> None:
    """Of 500 tests without effect, looked at 100 times, at most 5 % ever show a lift.

    With unequal shares and few buyers it was up to 60 %: an arm without one had no spread at all.
    """
    rng = np.random.default_rng(21)
    steps = np.arange(1, 101)
    n_control, n_treated = (
        int(part) * steps for part in (n_units * (1 - share) / 100, n_units * share / 100)
    )
    n_alarms = 0
    for _ in range(500):
        n_alarms += any(
            lift is not None and not lift.low <= 0 <= lift.high
            for lift in (
                _lift(*arms)
                for arms in zip(
                    n_control.tolist(),
                    rng.binomial(n_control[0], rate, 100).cumsum().tolist(),
                    n_treated.tolist(),
                    rng.binomial(n_treated[0], rate, 100).cumsum().tolist(),
                    strict=True,
                )
            )
        )
    assert n_alarms / 500 < 0.05


def _lift(n_control: int, c: int, n_treated: int, t: int) -> Difference | None:
    pair = comparable(mean_of(n_control, c, c), mean_of(n_treated, t, t))
    return None if pair is None else always_valid_relative(*pair)


def test_units_that_tell_are_hits_of_a_share_and_fewer_of_money() -> None:
    """Of a share they are its hits; of two payers of 1 and 3 they are 16 / 10."""
    share = mean_of(100_000, 300, 300)
    money = mean_of(100_000, 4, 10)
    assert share is not None
    assert money is not None
    assert n_telling(share) == 300
    assert n_telling(money) == 1.6
    assert n_telling(Estimate(0.0, 0.0, 50)) == 0.0


def test_order_value_is_compared_by_units() -> None:
    """Forty buyers of two orders at 10 beside forty of one at 10 and 30: 10, and 40 / 2 = 20."""
    control = arm("control", 1000, 40)._replace(
        n_orders=80,
        revenue=800.0,
        sum_revenue_squared=40 * 20.0**2,
        sum_orders_squared=40 * 4,
        sum_orders_revenue=40 * 2 * 20.0,
    )
    treated = arm("personal", 1000, 40)._replace(
        n_orders=40,
        revenue=800.0,
        sum_revenue_squared=20 * 10.0**2 + 20 * 30.0**2,
        sum_orders_squared=40,
        sum_orders_revenue=800.0,
    )
    (found,) = (
        one
        for one in compare("personal", [(control, treated)])
        if one.metric == "average_order_value"
    )
    assert found.absolute is not None
    assert found.absolute.value == pytest.approx(10.0)
    # Control's orders are all alike; a treated buyer's residual is its order less 20, which is 10.
    spread = 40 * 10.0**2 / 39 * 40 / 40**2
    assert found.absolute.high - 10.0 == pytest.approx(stdtrit(39, 0.975) * spread**0.5)


def test_several_variants_share_the_error_of_looking() -> None:
    """A second treatment makes the interval that always holds wider, and the plain one not."""
    arms = [arm("control", 1000, 200), arm("personal", 1000, 220), arm("other", 1000, 210)]
    people = {one.variant: People(1000) for one in arms}
    found = [
        next(
            one
            for one in make_report("r", RolloutSums(arms[:n], people, {}), {}, at_ms=0).comparisons
            if (one.variant, one.metric) == ("personal", "revenue_per_unit")
        )
        for n in (2, 3)
    ]
    assert found[0].absolute == found[1].absolute
    # Buyers pay alike, so the clock is that of a share: n p (1 - p), of either arm.
    clock = 1000 * (0.2 * 0.8 + 0.22 * 0.78)
    widths = [one.always_valid.high - one.always_valid.low for one in found if one.always_valid]
    assert widths[1] / widths[0] == pytest.approx(
        boundary(clock, alpha=0.025) / boundary(clock), rel=1e-3
    )
