"""The plan of a rollout out of its traffic."""

import pytest

from models.errors import InputError
from service.reports.plan import LIFTS, Question, make_plan
from service.reports.planner import plan_conversion, plan_mean
from service.reports.statistics import Estimate
from service.reports.traffic import Traffic

BUYERS = Estimate(0.1, 0.1 * 0.9 / 400, 400)
REVENUE = Estimate(5.0, 900 / 400, 400)
SEEN = Traffic(
    0.2, {"conversion": BUYERS, "revenue_per_unit": REVENUE}, 250.0, "rollout", "rollout"
)
NOTHING = Traffic(0.0, {}, None, "home", "home")


def test_plan_stands_on_what_was_seen() -> None:
    """Its share, its baseline and its units a day; a line for each usual lift and the asked one."""
    found = make_plan("hero", Question(lift=0.15), SEEN)
    assert (found.share, found.baseline, found.units_per_day) == (0.2, 0.1, 250.0)
    assert (found.baseline_from, found.units_from, found.notes) == ("rollout", "rollout", [])
    assert [line.lift for line in found.lines] == sorted([*LIFTS, 0.15])
    [line] = [line for line in found.lines if line.lift == 0.15]
    expected = plan_conversion(0.1, 0.15, 0.2, 250)
    assert expected is not None
    assert (line.units, line.units_treated) == (expected.n_units, expected.n_treated)
    assert line.days == round(expected.days or 0, 2)


def test_what_is_given_counts_before_what_was_seen() -> None:
    """And is said to be given."""
    question = Question(share=0.5, baseline=0.2, units_per_day=10, power=0.9)
    found = make_plan("hero", question, SEEN)
    assert (found.share, found.baseline, found.power) == (0.5, 0.2, 0.9)
    assert (found.baseline_from, found.units_from) == ("given", "given")


def test_revenue_is_planned_from_its_spread() -> None:
    """Mean 5, variance 900, +10 %, halves: 7.849 · 3,600 / 0.25 = 113,025 units."""
    found = make_plan("hero", Question(metric="revenue_per_unit", lift=0.1, share=0.5), SEEN)
    [line] = [line for line in found.lines if line.lift == 0.1]
    assert line.units == pytest.approx(113_025, rel=1e-3)
    twice = make_plan(
        "hero", Question(metric="revenue_per_unit", lift=0.1, share=0.5, baseline=10), SEEN
    )
    assert [one.units for one in twice.lines] == [one.units for one in found.lines]


def test_more_power_takes_a_third_more_units() -> None:
    """(1.96 + 1.2816)² / (1.96 + 0.8416)² = 1.339."""
    usual, sure = (plan_mean(5, 900, 0.1, 0.5, None, power=power) for power in (0.8, 0.9))
    assert usual is not None
    assert sure is not None
    assert sure.n_units / usual.n_units == pytest.approx(1.339, abs=0.002)


def test_plan_without_traffic_says_what_to_give() -> None:
    """No number is made up; with a baseline units can be told, and days with units a day."""
    bare = make_plan("new", Question(), NOTHING)
    assert {line.units for line in bare.lines} == {None}
    assert (bare.share, bare.baseline_from, bare.units_from) == (0.5, None, None)
    assert "give a baseline" in bare.notes[0]
    assert "give units_per_day" in bare.notes[1]
    given = make_plan("new", Question(baseline=0.05), NOTHING)
    assert all(line.units and line.days is None for line in given.lines)
    clicks = make_plan("new", Question(metric="click_through", baseline=0.05), NOTHING)
    assert {line.units for line in clicks.lines} == {None}
    assert "how far units differ in click_through" in clicks.notes[0]


@pytest.mark.parametrize(
    ("question", "rule"),
    [
        (Question(share=1.0), "leaves one arm empty"),
        (Question(share=0.0), "leaves one arm empty"),
        (Question(power=0.5), "power 0.5"),
        (Question(lift=0.0), "lift 0 cannot be seen"),
        (Question(lift=-1.0), "lift -1 cannot be seen"),
        (Question(baseline=0.0), "baseline 0 is not above 0"),
        (Question(baseline=5.0), "baseline 5 is not below 1"),
        (Question(units_per_day=0.0), "units_per_day 0"),
    ],
)
def test_question_out_of_range_is_refused(question: Question, rule: str) -> None:
    """With the value and the rule."""
    with pytest.raises(InputError, match=rule):
        make_plan("hero", question, SEEN)
