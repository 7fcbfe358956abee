"""The estimators of reports beside an independent library, tea-tasting, on the same units.

It computes from the data of units, and Endcap from sums over them, so nothing is shared.
"""

from typing import Any

import numpy as np
import polars as pl
import pytest
import tea_tasting as tt

from service.reports.adjustment import PairSums, adjusted
from service.reports.statistics import (
    Estimate,
    difference,
    mean_of,
    p_value,
    ratio_of,
    relative_difference,
    sample_ratio_p,
)

N_UNITS = 20_000


@pytest.fixture(scope="module")
def units() -> pl.DataFrame:
    """Make units of two unequal arms with exposures, clicks, revenue, and revenue before."""
    rng = np.random.default_rng(31)
    arm = (rng.random(N_UNITS) < 0.3).astype(np.int64)
    before = rng.gamma(0.5, 8.0, N_UNITS)
    exposures = 1 + rng.poisson(4.0 + arm)
    return pl.DataFrame(
        {
            "variant": arm,
            "before": before,
            "revenue": 0.7 * before + rng.gamma(0.3, 10.0, N_UNITS) * (1 + 0.1 * arm),
            "exposures": exposures,
            "clicks": rng.binomial(exposures, 0.11 + 0.01 * arm),
        }
    )


def sums(units: pl.DataFrame, arm: int, x: str, y: str) -> PairSums:
    """Add one arm up, as the running sums do."""
    a, b = (units.filter(variant=arm)[name].to_numpy().astype(float) for name in (x, y))
    return PairSums(len(a), a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum())


def theirs(units: pl.DataFrame, metric: Any) -> Any:
    """Ask tea-tasting about one metric."""
    return tt.Experiment(metric=metric).analyze(units, control=0)["metric"]


def assert_same(control: Estimate | None, treated: Estimate | None, asked: Any, rel: float) -> None:
    """Hold means, interval and p-value to its own; its name for a p-value is `pvalue`."""
    assert control is not None
    assert treated is not None
    assert (control.value, treated.value) == pytest.approx(
        (asked.control, asked.treatment), rel=rel
    )
    found = difference(control, treated)
    assert found == pytest.approx(
        (asked.effect_size, asked.effect_size_ci_lower, asked.effect_size_ci_upper), rel=rel
    )
    assert p_value(control, treated) == pytest.approx(asked.pvalue, rel=10 * rel)


def test_welch_is_theirs(units: pl.DataFrame) -> None:
    """Revenue per unit: means, absolute interval and p-value."""
    arms = [sums(units, arm, "before", "revenue") for arm in (0, 1)]
    control, treated = (mean_of(arm.n, arm.y, arm.yy) for arm in arms)
    assert_same(control, treated, theirs(units, tt.Mean("revenue")), 1e-9)


def test_delta_method_of_a_ratio_is_theirs(units: pl.DataFrame) -> None:
    """Clicks per exposure, where units differ in exposures."""
    arms = [sums(units, arm, "exposures", "clicks") for arm in (0, 1)]
    control, treated = (
        ratio_of(arm.n, x=arm.x, y=arm.y, xx=arm.xx, yy=arm.yy, xy=arm.xy) for arm in arms
    )
    assert_same(control, treated, theirs(units, tt.RatioOfMeans("clicks", "exposures")), 1e-9)


def test_relative_interval_is_theirs(units: pl.DataFrame) -> None:
    """Treatment / control - 1; theirs by the delta method."""
    arms = [sums(units, arm, "before", "revenue") for arm in (0, 1)]
    found = relative_difference(*(mean_of(arm.n, arm.y, arm.yy) for arm in arms))
    asked = theirs(units, tt.Mean("revenue"))
    assert found is not None
    assert found.value == pytest.approx(asked.rel_effect_size)
    # Theirs is symmetric in the logarithm, ours is Fieller's: alike where the interval is narrow.
    assert (found.low, found.high) == pytest.approx(
        (asked.rel_effect_size_ci_lower, asked.rel_effect_size_ci_upper), abs=5e-3
    )


def test_adjustment_by_the_past_is_theirs(units: pl.DataFrame) -> None:
    """Revenue with what units paid before taken out; their slope is of both arms in one."""
    arms = [sums(units, arm, "before", "revenue") for arm in (0, 1)]
    found = adjusted(arms[0], arms[1])
    assert found is not None
    assert_same(*found, theirs(units, tt.Mean("revenue", "before")), 1e-3)
    plain = mean_of(arms[0].n, arms[0].y, arms[0].yy)
    assert plain is not None
    assert found[0].variance < 0.7 * plain.variance


@pytest.mark.parametrize("share", [0.3, 0.31, 0.5])
def test_sample_ratio_is_theirs(units: pl.DataFrame, share: float) -> None:
    """Pearson's χ² with one degree is the square of their normal test without correction."""
    n_treated = int(units["variant"].sum())
    metric = tt.SampleRatio(share / (1 - share), method="norm", correction=False)
    found = sample_ratio_p([N_UNITS - n_treated, n_treated], [1 - share, share])
    assert found == pytest.approx(theirs(units, metric).pvalue, rel=1e-6, abs=1e-300)
