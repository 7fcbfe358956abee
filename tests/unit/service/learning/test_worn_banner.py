"""How long a banner stays in front whose clicks fell: the table of docs/guides/banners.md."""

import pytest

from service.learning.click_rates import learn_click_rates
from service.stores.banner_counts import BannerCount

VISITS_A_DAY = 7_200
OLD_RATE, NEW_RATE, OTHER_RATE = 0.04, 0.02, 0.03
WORN_SHARE = 0.9
"""Of the visits that see the banner in front; the others are left to chance."""


def count(banner_id: str, seen: float, clicked: float) -> BannerCount:
    """Make the faded counts of a banner that fits nobody in particular."""
    return BannerCount("home", 1, "", "", banner_id, seen, 0, 0, clicked, 0)


def days_until_left(half_life_days: float, days_before: int) -> int:
    """Count the days after the fall until another banner is believed to be better."""
    for days_since in range(1, 200):
        days = range(days_before + days_since)
        weights = [0.5 ** (day / half_life_days) * VISITS_A_DAY for day in days]
        new, all_of_them = sum(weights[:days_since]), sum(weights)
        clicks = WORN_SHARE * (NEW_RATE * new + OLD_RATE * (all_of_them - new))
        others = (1 - WORN_SHARE) * all_of_them
        counts = [
            count("worn", WORN_SHARE * all_of_them, clicks),
            count("other", others, OTHER_RATE * others),
        ]
        learned = learn_click_rates(counts, ["worn", "other"], ["home"]).rates
        rates = {each.banner_id: each.rate for each in learned if each.placement_id == "home"}
        if rates["worn"] < rates["other"]:
            return days_since
    raise AssertionError("it is never left")


@pytest.mark.parametrize(
    ("half_life_days", "left_after"),
    [(30, [5, 18, 29]), (7, [4, 7, 7]), (3, [3, 3, 4]), (1, [1, 2, 2])],
)
def test_worn_banner_is_left_within_a_half_life(
    half_life_days: float, left_after: list[int]
) -> None:
    """After 5, 30 and 120 days in front; later than a half-life only by the rounding of days."""
    assert [days_until_left(half_life_days, before) for before in (5, 30, 120)] == left_after
