"""Click rates out of counts: shrunk where little is known, taken apart where much is mixed."""

from collections.abc import Sequence

import numpy as np
import pytest

from service.learning.click_rates import MIN_CLICKS, ClickRates, learn_click_rates
from service.learning.levels import Level, fit_strength, shrink
from service.stores.banner_counts import BannerCount
from service.stores.banner_rates import ALL_PLACEMENTS, ALL_SEGMENTS, ANY_FIT, NEW_BANNER


def count(
    banner_id: str,
    seen: float,
    clicked: float,
    *,
    segment: str = "",
    fit: str = "none",
    place: tuple[str, int] = ("hero", 1),
) -> BannerCount:
    """Count a banner in a placement whose clients report nothing."""
    return BannerCount(*place, segment, fit, banner_id, seen, 0, 0, clicked, 0)


def learn(counts: Sequence[BannerCount]) -> ClickRates:
    """Learn of all banners and placements that are counted."""
    banner_ids = {one.banner_id for one in counts}
    return learn_click_rates(counts, banner_ids, {one.placement_id for one in counts})


def rate(
    learned: ClickRates, banner_id: str, segment: str = ALL_SEGMENTS, placement_id: str = "hero"
) -> float:
    """Look a rate up."""
    [found] = [
        one.rate for one in learned.rates if one[:4] == (placement_id, segment, banner_id, ANY_FIT)
    ]
    return found


def test_shrinking_adds_clicks_of_the_level_above() -> None:
    """10 of 100 beside an expected 5 % worth 5 clicks: (10 + 5) / (100 + 100) = 7.5 %.

    Its variance is that of a Beta of strength 200, .075 · .925 / 201, and a quarter of the level
    above's, which has half of the weight.
    """
    above = Level(np.array([1.0]), np.array([0.16]))
    found = shrink(np.array([100.0]), np.array([10.0]), np.array([0.05]), above, 5.0)
    assert found.rate[0] * 0.05 == pytest.approx(0.075)
    own = 0.075 * 0.925 / 201
    assert found.variance[0] * 0.05**2 == pytest.approx(own + 0.25 * 0.05**2 * 0.16)


@pytest.mark.parametrize("strength", [3.0, 30.0])
def test_strength_is_read_from_how_much_groups_differ(strength: float) -> None:
    """200 groups of 2,000 exposures, drawn from Beta distributions of a known strength."""
    rng = np.random.default_rng(5)
    expected = np.full(200, 0.05)
    rates = rng.beta(strength, strength / 0.05 - strength, 200)
    seen = np.full(200, 2_000.0)
    found = fit_strength(seen, rng.binomial(2_000, rates).astype(float), expected, usual=10.0)
    assert found == pytest.approx(strength, rel=0.35)


def test_few_groups_are_worth_what_is_usual() -> None:
    """Of no group nothing is read."""
    empty = np.empty(0)
    assert fit_strength(empty, empty, empty, usual=4.0) == pytest.approx(4.0, rel=0.06)


def test_much_data_speaks_for_itself_and_little_does_not() -> None:
    """With 50,000 exposures a banner has its own rate; two clicks of ten change little."""
    learned = learn([count("a", 50_000, 2_000), count("b", 50_000, 1_000), count("lucky", 10, 2)])
    assert rate(learned, "a") == pytest.approx(0.04, rel=0.03)
    assert rate(learned, "b") == pytest.approx(0.02, rel=0.03)
    assert 0.025 < rate(learned, "lucky") < 0.08


def test_new_banner_is_worth_what_all_are() -> None:
    """And is less sure than one that was seen."""
    learned = learn([count("a", 10_000, 300), count("b", 10_000, 300)])
    by_id = {one.banner_id: one for one in learned.rates if one[:2] == ("hero", ALL_SEGMENTS)}
    assert by_id[NEW_BANNER].rate == pytest.approx(0.03, rel=0.05)
    assert by_id[NEW_BANNER].strength < by_id["a"].strength / 5


def test_position_and_fit_are_not_the_banners_merit() -> None:
    """`a` stood first, before those whom it fits: 9 %; `b` third, before others: 1 %.

    A third banner has been everywhere: the first position is clicked three times as often, and a
    fitting banner three times as often. So `a` and `b` are alike, and so they are told.
    """
    first, third = ("hero", 1), ("hero", 3)
    learned = learn(
        [
            count("a", 10_000, 900, fit="personal_high", place=first),
            count("b", 10_000, 100, fit="none", place=third),
            count("c", 10_000, 900, fit="personal_high", place=first),
            count("c", 10_000, 300, fit="personal_high", place=third),
            count("c", 10_000, 300, fit="none", place=first),
            count("c", 10_000, 100, fit="none", place=third),
        ]
    )
    assert rate(learned, "a") == pytest.approx(rate(learned, "b"), rel=0.1)
    assert rate(learned, "a") == pytest.approx(0.03, rel=0.1)
    [lift] = [one.lift for one in learned.lifts if one.fit == "personal_high"]
    assert lift == pytest.approx(3, rel=0.1)


def test_segments_differ_where_the_counts_say_so() -> None:
    """Two segments with opposite tastes; one that was hardly seen follows all of them."""
    counts = []
    for segment, a, b in (("x", 600, 100), ("y", 100, 600)):
        counts += [count("a", 10_000, a, segment=segment), count("b", 10_000, b, segment=segment)]
    learned = learn([*counts, count("a", 5, 0, segment="z")])
    assert rate(learned, "a", "x") == pytest.approx(0.06, rel=0.1)
    assert rate(learned, "b", "x") == pytest.approx(0.01, rel=0.2)
    assert rate(learned, "a", "z") == pytest.approx(rate(learned, "a"), rel=0.12)


def test_placement_borrows_from_the_others() -> None:
    """`b` is good in `hero` and was never in `side`; there it is thought better than `a`."""
    learned = learn(
        [
            count("a", 20_000, 200),
            count("b", 20_000, 600),
            count("a", 20_000, 1_000, place=("side", 1)),
        ]
    )
    assert rate(learned, "b", placement_id="side") > 1.5 * rate(learned, "a", placement_id="side")


def test_clicks_of_those_who_click_everything_say_little() -> None:
    """Segment `x` clicks five times as often; `a` was shown to it, `b` to `y`: nearly alike."""
    counts = [count("a", 10_000, 500, segment="x"), count("b", 10_000, 100, segment="y")]
    for segment, clicks in (("x", 500), ("y", 100)):
        counts += [count(f"{i}", 10_000, clicks, segment=segment) for i in range(6)]
    learned = learn(counts)
    assert rate(learned, "a") < 1.5 * rate(learned, "b")


def test_retired_banners_and_quiet_placements_cost_nothing() -> None:
    """A banner that is no longer configured has no rate, nor has a placement with few clicks."""
    counts = [
        count("a", 1_000, 30),
        count("gone", 1_000, 30),
        count("a", 1_000, MIN_CLICKS - 1, place=("quiet", 1)),
    ]
    learned = learn_click_rates(counts, {"a"}, {"hero", "quiet"})
    assert {one.banner_id for one in learned.rates} == {"a", NEW_BANNER}
    assert {one.placement_id for one in learned.rates} == {"hero", ALL_PLACEMENTS}


def test_nothing_counted_is_no_mistake() -> None:
    """There is the first belief, and no placement."""
    assert {one.placement_id for one in learn([]).rates} == {ALL_PLACEMENTS}
