"""The sentence at the top of a report."""

from service.reports.comparison import Comparison, Interval, MetricName
from service.reports.verdict import Verdict, judge


def found(metric: MetricName, low: float, high: float, variant: str = "personal") -> Comparison:
    return Comparison(
        variant=variant,
        metric=metric,
        absolute=None,
        relative=None,
        always_valid=None,
        always_valid_relative=Interval(value=(low + high) / 2, low=low, high=high),
        is_adjusted=False,
        p_value=None,
    )


def said(*comparisons: Comparison, buyers: int = 50, broken: tuple[int, ...] = ()) -> Verdict:
    names = ["control", *dict.fromkeys(each.variant for each in comparisons)]
    return judge(
        units=dict.fromkeys(names, 1_000),
        buyers=dict.fromkeys(names, buyers),
        comparisons=comparisons,
        broken_epochs=broken,
        unevenly_rendered=(),
    )


def test_broken_split_forbids_everything() -> None:
    """However good the lift looks."""
    verdict = said(found("conversion", 0.1, 0.2), broken=(2,))
    assert verdict.code == "do_not_act"
    assert verdict.sentence.startswith("Do not act: in epoch 2")


def test_too_little_data_is_too_early() -> None:
    """Nine buyers an arm are not ten, and no variant is nothing to compare."""
    assert said(found("conversion", 0.1, 0.2), buyers=9).code == "too_early"
    assert said().code == "too_early"


def test_conversion_decides_and_revenue_may_contradict() -> None:
    """Zero inside is no difference; both up is better; up and down is mixed; arms may disagree."""
    assert said(found("conversion", -0.1, 0.2)).code == "no_difference_yet"
    better = said(found("conversion", 0.1, 0.2), found("capped_revenue_per_unit", -0.1, 0.3))
    assert better.code == "better"
    assert "conversion +15.0% (+10.0% to +20.0%)" in better.sentence
    assert "capped revenue per unit +10.0% (-10.0% to +30.0%)" in better.sentence
    assert said(found("conversion", -0.2, -0.1)).code == "worse"
    assert said(found("capped_revenue_per_unit", 0.1, 0.2)).code == "better"
    mixed = said(found("conversion", 0.1, 0.2), found("capped_revenue_per_unit", -0.3, -0.1))
    assert mixed.code == "mixed"
    apart = said(found("conversion", 0.1, 0.2), found("conversion", -0.2, -0.1, "other"))
    assert apart.code == "mixed"


def test_few_units_are_counted_as_people_say_it() -> None:
    """One unit, no buyers."""
    early = judge(
        units={"control": 1, "personal": 5},
        buyers={"personal": 1},
        comparisons=(),
        broken_epochs=(),
        unevenly_rendered=(),
    )
    assert early.sentence.endswith(
        "; 'control' has 1 unit and 0 buyers; 'personal' has 5 units and 1 buyer."
    )
