"""The estimators on a real experiment that broke: Udacity's landing page."""

from pathlib import Path

import polars as pl
import pytest
from scipy.stats import ttest_ind

from service.reports.confidence_sequence import always_valid_difference
from service.reports.sample_ratio import sequential_sample_ratio_p
from service.reports.statistics import Estimate, difference, mean_of


@pytest.mark.data
def test_landing_page_is_told_as_it_was(shared_data: Path) -> None:
    """3,893 rows saw the page of the other arm; conversion is .1197; no interval excludes zero."""
    rows = pl.read_parquet(shared_data / "ab-landing-page" / "ab_data.parquet")
    is_mismatched = (pl.col("group") == "treatment") != (pl.col("landing_page") == "new_page")
    assert rows.filter(is_mismatched).height == 3_893
    assert rows["converted"].mean() == pytest.approx(0.1197, abs=5e-5)

    units = rows.filter(~is_mismatched).unique("user_id")
    arms = [units.filter(group=name)["converted"] for name in ("control", "treatment")]
    assert sequential_sample_ratio_p([len(arm) for arm in arms], [0.5, 0.5]) == 1.0
    control, treatment = (_estimate(arm) for arm in arms)
    fixed = difference(control, treatment)
    always = always_valid_difference(control, treatment)
    assert fixed is not None
    assert always is not None
    expected = ttest_ind(arms[1], arms[0], equal_var=False).confidence_interval(0.95)
    assert (fixed.low, fixed.high) == pytest.approx((expected.low, expected.high), rel=1e-6)
    assert always.low < fixed.low < 0 < fixed.high < always.high


def _estimate(converted: pl.Series) -> Estimate:
    found = mean_of(len(converted), int(converted.sum()), int(converted.sum()))
    assert found is not None
    return found
