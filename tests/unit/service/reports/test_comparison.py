"""Differences that are shown have an interval that means something."""

from service.reports.comparison import compare
from service.stores.rollout_sums import ArmSums


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


def test_relative_interval_needs_a_spread_of_its_own() -> None:
    """None of a thousand bought: the absolute difference has a width, the ratio of zero has not."""
    found = compare("personal", [(arm("control", 1000, 50), arm("personal", 1000, 0))])
    by_metric = {each.metric: each for each in found}
    for metric in ("conversion", "revenue_per_unit"):
        each = by_metric[metric]
        assert each.absolute is not None
        assert each.absolute.low < each.absolute.value < each.absolute.high < 0
        assert (each.relative, each.always_valid_relative) == (None, None)
        assert each.p_value is not None
        assert each.p_value < 1e-6
