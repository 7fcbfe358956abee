"""The report: figures by hand, charts in their places, a page that needs nothing else."""

import re
from pathlib import Path

import numpy as np
import pytest

from models.errors import InputError
from models.manifest import Interval
from models.recommenders.settings import Settings
from models.vocabulary import MISSING_ROW
from tests.unit.models.small_dataset import NOW_MS, make_dataset
from training.evaluate import Evaluation, intervals_of
from training.report.charts import HEIGHT, WIDTH, dot_chart, line_chart, scale
from training.report.figures import by_activity, by_item_age, coverage_curves, mean_interval
from training.report.page import Heading, Measured, render, write_report
from training.split import Split


def split() -> Split:
    """Let user 0 know one item and user 1 three; on day 100 both are tested, user 1 twice."""
    rows = [(0, 0, 1), (1, 0, 1), (1, 1, 80), (1, 2, 90)]
    dataset = make_dataset(rows, n_users=3, n_items=5)
    users = np.array([0, 1, 1], dtype=np.int32)
    return Split(dataset, users, np.array([1, 3, MISSING_ROW], dtype=np.int32), NOW_MS)


def evaluation(lists: list[list[int]]) -> Evaluation:
    """Make the evaluation that showed these lists to users 0 and 1."""
    values = np.array([1.0, 0.5])
    names = [f"{name}@{k}" for name in ("ndcg", "recall", "hit_rate") for k in (1, 2)]
    return Evaluation(
        per_user=dict.fromkeys(names, values),
        overall={"coverage@2": 0.5},
        users=np.array([0, 1]),
        lists=np.array(lists),
    )


def measured(**evaluations: Evaluation) -> Measured:
    """Put what a page needs around evaluations."""
    return Measured(
        evaluations=evaluations,
        intervals=intervals_of(evaluations, 1),
        split=split(),
        n_candidates=5,
        ks=(1, 2),
        settings=Settings(factors=7),
        tuning_note="Nothing was tuned.",
    )


HEADING = Heading(
    title="A <b>page</b>", subtitle="s", facts=[("users", "3")], warnings=["rows fell"]
)


def test_activity_groups_users_by_what_they_know() -> None:
    """One item known is in the band of 1 and 2, three in that of 3 to 5."""
    groups = by_activity({"hybrid": evaluation([[1, 2], [3, 4]])}, split(), "ndcg@2")
    assert [(one.label, one.n) for one in groups] == [("1 to 2", 1), ("3 to 5", 1)]
    assert [one.figures["hybrid"].value for one in groups] == [1.0, 0.5]


def test_item_age_counts_what_was_found_of_each_age() -> None:
    """Item 1 is 20 days old and found, item 3 new and at rank 2; an unknown item is no pair."""
    found = {"hybrid": evaluation([[1, 2], [4, 3]])}
    groups = by_item_age(found, split(), k=2)
    assert [(one.label, one.n, one.figures["hybrid"].value) for one in groups] == [
        ("no interaction yet", 1, 1.0),
        ("up to 30 days", 1, 1.0),
    ]
    [new, _] = by_item_age(found, split(), k=1)
    assert new.figures["hybrid"].value == 0.0


def test_coverage_grows_with_the_lists() -> None:
    """First places show 1 and 3 of five items, both places 1, 2 and 3; -1 is an empty place."""
    curves = coverage_curves({"hybrid": evaluation([[1, 2], [3, -1]])}, n_candidates=5)
    assert curves == {"hybrid": [0.4, 0.6]}


def test_mean_interval_is_the_normal_one() -> None:
    """Of 0.4 and 0.6: mean 0.5, deviation 0.1414, so 0.5 ± 1.96 · 0.1414 / √2 = 0.196."""
    found = mean_interval(np.array([0.4, 0.6]))
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.304, 0.696))
    assert mean_interval(np.empty(0)) == Interval(value=0.0, low=0.0, high=0.0)
    assert mean_interval(np.array([0.3])) == Interval(value=0.3, low=0.3, high=0.3)


@pytest.mark.parametrize(
    ("largest", "end", "n_ticks"),
    [(0.1476, 0.15, 4), (0.08, 0.08, 5), (1.0, 1.0, 6), (0.0, 1.0, 3), (0.0021, 0.0025, 6)],
)
def test_scale_is_round_and_holds_the_largest(largest: float, end: float, n_ticks: int) -> None:
    """A few round numbers from 0 to just above what is shown."""
    found, ticks = scale(largest)
    assert found == pytest.approx(end)
    assert len(ticks) == n_ticks


def test_dots_stand_where_their_figures_are() -> None:
    """On a scale to 0.2, 0.1 stands in the middle."""
    figures = {"als": Interval(value=0.1, low=0.05, high=0.2)}
    [dot] = dot_chart("t", "n", figures, {"als": 2}).dots
    assert (dot.low, dot.at, dot.high, dot.colour) == (25.0, 50.0, 100.0, 2)


def test_lines_go_from_the_first_length_to_the_last() -> None:
    """Shares 0 and 1 of lists of one and two: bottom left to top right."""
    [line] = line_chart({"als": [0.0, 1.0]}, {"als": 0}).lines
    assert line.points == f"0.0,{HEIGHT:.1f} {WIDTH:.1f},0.0"
    assert line.end_text == "100%"


def test_page_needs_nothing_else_and_escapes() -> None:
    """No address, no script, light and dark, and markup of a name is text."""
    page = render(
        HEADING, measured(hybrid=evaluation([[1, 2], [3, 4]]), als=evaluation([[1, 2]] * 2))
    )
    assert "A &lt;b&gt;page&lt;/b&gt;" in page
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert "rows fell" in page
    assert re.search(r'<td>factors</td><td class="best">7</td>', page)


def test_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A folder that does not exist is named."""
    with pytest.raises(InputError, match="cannot write the report"):
        write_report(tmp_path / "no" / "page.html", HEADING, measured(als=evaluation([[1, 2]] * 2)))
