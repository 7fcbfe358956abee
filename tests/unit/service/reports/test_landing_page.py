"""The estimators on a real experiment that broke: Udacity's landing page."""

from pathlib import Path

import polars as pl
import pytest
from scipy.stats import ttest_ind

from service.reports.confidence_sequence import always_valid_difference
from service.reports.report import Report, make_report
from service.reports.sample_ratio import sequential_sample_ratio_p
from service.reports.statistics import Estimate, difference, mean_of
from service.stores.event_database import connect, open_event_database
from service.stores.event_schema import RENDERED
from service.stores.outcomes import read_outcomes


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


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(300)  # 588,956 rows are added up
def test_whole_log_of_the_landing_page_is_reported(shared_data: Path, tmp_path: Path) -> None:
    """All 294,478 rows through store, running sums and report: every number is that of Polars.

    A row is an exposure of the arm that was assigned and a client's report of the page it drew.
    The 3,893 rows where the two disagree are counted by pair and named; the others are not.
    """
    rows = pl.read_parquet(shared_data / "ab-landing-page" / "ab_data.parquet").select(
        "user_id",
        "converted",
        exposure_id=pl.format("x{}", pl.int_range(pl.len())),
        at_ms=pl.col("timestamp").str.to_datetime().dt.epoch("ms"),
        variant="group",
        drawn=pl.when(pl.col("landing_page") == "old_page")
        .then(pl.lit("control"))
        .otherwise(pl.lit("treatment")),
    )
    report = _report_of(rows, tmp_path)

    units = (
        rows.sort("at_ms")
        .group_by("user_id", maintain_order=True)
        .agg(
            pl.col("variant").first(),
            is_crossed=pl.col("variant").n_unique() > 1,
            is_buyer=pl.col("converted").max() == 1,
            n=pl.len(),
        )
    )
    for arm in report.arms:
        mine = units.filter(variant=arm.variant)
        assert (arm.units, arm.crossed_units, arm.buyers, arm.exposures) == (
            mine.height, mine["is_crossed"].sum(), mine["is_buyer"].sum(), mine["n"].sum(),
        )  # fmt: skip

    odd = rows.filter(pl.col("variant") != pl.col("drawn"))
    assert sum(each.exposures for each in report.drawn_otherwise) == odd.height == 3_893
    for each in report.drawn_otherwise:
        mine = odd.filter(variant=each.variant, drawn=each.drawn)
        assert each.exposures == mine.height
        assert each.exposure_ids == mine["exposure_id"].sort()[:20].to_list()
    assert sum("were drawn as" in note for note in report.notes) == 2


def _report_of(rows: pl.DataFrame, folder: Path) -> Report:
    path = open_event_database(folder)
    connection = connect(path)
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO exposures (exposure_id, request_id, at_ms, unit_kind, unit_key, user_key, "
        "placement_id, kind, recipe, tier, rollout_key, variant, reason, epoch, shown) VALUES "
        "(?1, '', ?2, 'user_id', ?3, ?3, 'page', 'items', '', 'static', 'page', ?4, "
        "'SPLIT', 1, '[]')",
        rows.select("exposure_id", "at_ms", "user_id", "variant").iter_rows(),
    )
    connection.executemany(
        "INSERT INTO events (event_id, kind, at_ms, received_ms, user_key, exposure_id, variant, "
        "flags) VALUES ('r' || ?1, ?5, ?2, ?2, ?3, ?1, ?4, 0)",
        rows.select("exposure_id", "at_ms", "user_id", "drawn", pl.lit(RENDERED)).iter_rows(),
    )
    connection.executemany(
        "INSERT INTO events (event_id, kind, at_ms, received_ms, user_key, item_id, flags) "
        "VALUES ('e' || ?1, 3, ?2 + 1, ?2 + 1, ?3, 'order', 0)",
        rows.filter(converted=1).select("exposure_id", "at_ms", "user_id").iter_rows(),
    )
    connection.execute("COMMIT")
    connection.close()
    return make_report("page", read_outcomes(path, "page"), {}, at_ms=0)


def _estimate(converted: pl.Series) -> Estimate:
    found = mean_of(len(converted), int(converted.sum()), int(converted.sum()))
    assert found is not None
    return found
