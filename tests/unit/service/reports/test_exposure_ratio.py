"""Exposures per unit between arms: lost ones are told, and chance sets nothing off."""

from io import StringIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from service.reports.confidence_sequence import boundary
from service.reports.epochs import Opened
from service.reports.exposure_ratio import ExposureRatio, exposure_ratios
from service.reports.report import Report, make_report
from service.reports.report_page import report_page
from service.reports.table import print_report
from service.rollouts.definition import Rollout
from service.stores.rollout_sums import ArmSums, People, RolloutSums

Counts = NDArray[np.int64]


def arm(variant: str, n_units: float, n_exposures: float, sum_xx: float) -> ArmSums:
    """Make an arm of which only units and exposures are known."""
    none = ArmSums(1, variant, *(0 for _ in ArmSums._fields[2:]))
    return none._replace(n_units=int(n_units), n_exposures=int(n_exposures), sum_xx=float(sum_xx))


def of_units(variant: str, exposures: Counts) -> ArmSums:
    """Add up the exposures of each unit; one that lost all was never seen."""
    return arm(variant, (exposures > 0).sum(), exposures.sum(), (exposures**2).sum())


def compare(control: ArmSums, treated: ArmSums) -> ExposureRatio:
    """Compare two arms of an epoch."""
    [found] = exposure_ratios([treated, control])
    return found


def with_loss(n: int, lost_share: float) -> list[ArmSums]:
    """Let units see one slate and two more on average, of which the variant's log loses some."""
    rng = np.random.default_rng(11)
    control, treated = (1 + rng.poisson(2, n) for _ in range(2))
    return [
        of_units("control", control),
        of_units("personal", rng.binomial(treated, 1 - lost_share)),
    ]


def report_of(arms: list[ArmSums]) -> Report:
    """Report an epoch that was declared half and half."""
    people = {each.variant: People(each.n_units) for each in arms}
    opened = {1: Opened(at_ms=0, rollout=Rollout(key="r", share=0.5))}
    return make_report("r", RolloutSums(arms, people, {}), opened, at_ms=0)


def text_of(report: Report) -> str:
    """Show a report on a wide terminal."""
    console = Console(width=400, file=StringIO())
    print_report(report, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_interval_by_hand() -> None:
    """400 units of 1 and of 3: mean 2, spread 400 / 399, and all the same beside 500 of 1 and 5.

    The mean is 3 there and the spread 4 · 500 / 499. At either end θ, 3 - 2 θ
    is so many of its own errors, √(4 / 499 + θ² / 399).
    """
    found = compare(arm("control", 400, 800, 2_000), arm("personal", 500, 1_500, 6_500))
    assert found.difference is not None
    assert (found.control_per_unit, found.variant_per_unit) == (2.0, 3.0)
    assert found.difference.value == pytest.approx(0.5)
    errors = boundary(900, alpha=0.001, tightest_at=100_000)
    for theta, sign in ((1 + found.difference.low, 1), (1 + found.difference.high, -1)):
        own = (4 / 499 + theta**2 / 399) ** 0.5
        assert (3 - 2 * theta) / own == pytest.approx(sign * errors)


def test_lost_exposures_are_told_where_the_sample_ratio_is_sound() -> None:
    """Two percent of one arm's exposures, at random: units are all but whole, and a note tells."""
    report = report_of(with_loss(100_000, 0.02))
    assert not report.epochs[0].sample_ratio.is_alarm
    [found] = report.exposures_per_unit
    assert (found.is_alarm, found.fewer_in) == (True, "personal")
    [note] = [each for each in report.notes if "exposures are missing in 'personal'" in each]
    assert "or its visitors open fewer pages" in note
    assert report.verdict.code != "do_not_act"
    assert "exposures are MISSING in personal" in text_of(report)
    assert "exposures are MISSING in personal" in " ".join(report_page(report).split())


def test_loss_in_control_is_named_there() -> None:
    """What the variant has more of may be missing in control."""
    control, personal = with_loss(100_000, 0.02)
    found = compare(personal._replace(variant="control"), control._replace(variant="personal"))
    assert (found.is_alarm, found.fewer_in) == (True, "control")


def test_whole_arms_are_not_told() -> None:
    """Without a loss there is no note, and the table says that no difference is shown."""
    report = report_of(with_loss(100_000, 0.0))
    assert not any("exposures are missing" in note for note in report.notes)
    assert "no difference shown" in text_of(report)


@pytest.mark.parametrize(
    ("control", "treated"),
    [
        ((99, 300, 1_000), (5_000, 9_000, 20_000)),
        ((5_000, 5_000, 5_000), (5_000, 5_000, 5_000)),
        ((5_000, 5_100, 5_300), (250, 250, 250)),
        ((5_000, 10_000, 20_000), (5_000, 10_000, 20_000)),
    ],
)
def test_too_little_to_tell(control: tuple[int, ...], treated: tuple[int, ...]) -> None:
    """Few units, one exposure each, five second ones to be expected, or no spread at all."""
    found = compare(arm("control", *control), arm("personal", *treated))
    assert (found.difference, found.is_alarm, found.fewer_in) == (None, False, None)


def test_variant_without_control_is_not_compared() -> None:
    """At a share of 1 there is nobody beside it."""
    assert exposure_ratios([arm("personal", 500, 900, 3_000)]) == []


def draw(kind: str, rng: np.random.Generator, n: int) -> Any:
    """Draw exposures of units: alike, or a few that open very many pages."""
    return 1 + rng.poisson(2 if kind == "alike" else rng.gamma(0.5, 4, n), n)


@pytest.mark.parametrize("kind", ["alike", "uneven"])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_arms_alike_raise_no_alarm_at_any_hour(kind: str, share: float) -> None:
    """Of 100 tests of 20,000 units, looked at after each of the first 30 hours, one at most does.

    All come in the first three hours and open their other pages in 500, so that early on few
    units have any: taken with the first ones, 8 of 100 did where 5 % are treated.
    """
    rng = np.random.default_rng(7)
    n_alarms = 0
    for _ in range(100):
        n = draw(kind, rng, 20_000)
        unit = np.repeat(np.arange(20_000), n)
        hour = rng.integers(0, 500, len(unit))
        begins = np.cumsum(n) - n
        hour[begins] = rng.integers(0, 3, 20_000)
        hour = np.maximum(hour, np.repeat(hour[begins], n))
        order = np.lexsort((hour, unit))
        nth = np.arange(len(unit)) - np.repeat(begins, n)
        is_treated = (rng.random(20_000) < share)[unit].astype(np.intp)
        sums = np.zeros((3, 2, 500))
        for row, worth in zip(sums, (nth == 0, np.ones_like(nth), 2 * nth + 1), strict=True):
            np.add.at(row, (is_treated, hour[order]), worth)
        sums = sums.cumsum(axis=2)
        n_alarms += any(
            compare(arm("control", *sums[:, 0, i]), arm("personal", *sums[:, 1, i])).is_alarm
            for i in range(30)
        )
    assert n_alarms <= 1
