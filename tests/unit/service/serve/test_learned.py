"""Banners chosen by click rates: the stated propensity is the frequency, and draws stand still."""

from collections import Counter
from math import sqrt

import msgspec
import numpy as np
import pytest

from service.control.documents import Banner, Placement
from service.fits import PRIOR_LIFTS
from service.rollouts.definition import Rollout
from service.serve.exploration import MS_PER_HOUR, draw_seed
from service.serve.learned import EVEN_SHARE, Lottery, Placed
from service.serve.rates import RateBook, RateTable
from service.serve.request import PlacementRequest
from service.stores.banner_rates import (
    ALL_SEGMENTS,
    ANY_FIT,
    NEW_BANNER,
    PublishedRates,
    StoredLift,
    StoredRate,
)
from tests.snapshots import ALICE, TRAINED_MS
from tests.unit.service.serve.pages import Recent, banners_of, decide, make_shelf, make_visit

N = 20_000
Z = 3.3
"""Of the 99.9 % interval."""


def banner(banner_id: str, **fields: object) -> Banner:
    """Make a banner that is on."""
    made: dict[str, object] = {"id": banner_id, "title": banner_id, **fields}
    return msgspec.convert({"image_url": "/i.jpg", "link_url": "/l", **made}, Banner)


def hero(**fields: object) -> Placement:
    """Make a placement of one banner."""
    return msgspec.convert({"id": "hero", "kind": "banners", **fields}, Placement)


def table(
    rates: dict[str, float], *, segment: str = ALL_SEGMENTS, strength: float = 500.0
) -> RateTable:
    """Publish rates of banners in `hero`; a new one clicks at 2 %, lifts are as first believed."""
    stored = tuple(
        StoredRate("hero", where, banner_id, ANY_FIT, rate, strength)
        for where in {segment, ALL_SEGMENTS}
        for banner_id, rate in {NEW_BANNER: 0.02, **rates}.items()
    )
    lifts = tuple(StoredLift(fit, lift, 1e6) for fit, lift in PRIOR_LIFTS.items())
    return RateTable(PublishedRates(0, stored, lifts))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_stated_propensity_is_the_frequency(k: int) -> None:
    """Each of four banners stands at each position as often as it is said to, and never with 0.

    The propensities of a position sum to 1, and chance shows something else than the best in at
    most its share of the slates.
    """
    rng = np.random.default_rng(1)
    scores = np.array([0.03, 0.05, 0.02, 0.04])
    draws = rng.beta(scores[:, None] * 50, (1 - scores[:, None]) * 50, (4, 256)).astype(np.float32)
    seen: Counter[tuple[int, int]] = Counter()
    stated: dict[tuple[int, int], float] = {}
    n_explored = 0
    lottery = Lottery(scores, draws, k)
    assert lottery.best == [1, 3, 0, 2][:k]
    for unit in range(N):
        placed = lottery.play(0.4, draw_seed("user_id", str(unit), "hero", 0))
        assert len({one.number for one in placed}) == k
        n_explored += any(one.by_chance for one in placed)
        for position, one in enumerate(placed):
            seen[position, one.number] += 1
            assert stated.setdefault((position, one.number), one.propensity) == one.propensity
    assert len(stated) == 4 * k
    assert min(stated.values()) >= 0.4 * EVEN_SHARE / 4
    for position in range(k):
        assert sum(stated[position, one] for one in range(4)) == pytest.approx(1)
    for key, propensity in stated.items():
        margin = Z * sqrt(propensity * (1 - propensity) / N)
        assert abs(seen[key] / N - propensity) <= margin, key
    assert n_explored / N < 0.4 + Z * sqrt(0.24 / N)


def test_best_stands_alone_without_a_share_or_a_unit() -> None:
    """Then its propensity is 1; of equals the first is the best."""
    lottery = Lottery(np.array([0.02, 0.03, 0.03]), np.ones((3, 256), dtype=np.float32), 1)
    for share, seed in ((0.0, b"seed"), (0.5, None)):
        assert lottery.play(share, seed) == [Placed(1, 1.0, False)]


@pytest.mark.parametrize("n", [0, 1])
def test_few_candidates_leave_nothing_to_chance(n: int) -> None:
    """Of none the slate is empty; one stands there for certain."""
    lottery = Lottery(np.ones(n), np.ones((n, 256), dtype=np.float32), 3)
    assert [one.propensity for one in lottery.play(0.5, b"seed")] == [1.0] * n


def test_slate_states_the_frequency_of_each_banner() -> None:
    """Through the whole decision, at two positions, with the candidates logged by affinity."""
    banners = [banner(one) for one in "abcde"]
    shelf = make_shelf(hero(count=2, explore_share=0.5), *banners)
    rates = table({"a": 0.03, "b": 0.04, "c": 0.05, "d": 0.01}, strength=100)
    n_units = 3_000
    seen: Counter[tuple[int, str]] = Counter()
    stated: dict[tuple[int, str], float] = {}
    for unit in range(n_units):
        visit = make_visit(shelf, anonymous_key=f"a{unit}")
        visit.rates = rates
        [page] = decide(shelf, visit, "hero")
        assert [one.id for one in page.exposure.candidates] == list("abcde")
        assert page.exposure.candidates[1].score == pytest.approx(0.04, abs=0.004)
        for one in page.exposure.shown:
            seen[one.position, one.id] += 1
            assert stated.setdefault((one.position, one.id), one.propensity) == one.propensity
    assert len(stated) == 10
    for key, propensity in stated.items():
        margin = Z * sqrt(propensity * (1 - propensity) / n_units)
        assert abs(seen[key] / n_units - propensity) <= margin, key


def test_click_rate_fit_and_weight_multiply() -> None:
    """Kitchen fits a lover of pots as well as can be (2.5): .02 · 2.5 beats .04, not .04 · 1.5."""
    kitchen, plain = banner("kitchen", categories=["home > KITCHEN"]), banner("plain")
    for weight, expected in ((1.0, "kitchen"), (1.5, "plain")):
        shelf = make_shelf(hero(), kitchen, msgspec.structs.replace(plain, weight=weight))
        visit = make_visit(shelf, user_key="new", recent=[Recent("pot")])
        visit.rates = table({"kitchen": 0.02, "plain": 0.04})
        [page] = decide(shelf, visit, "hero")
        assert banners_of(page) == [expected]
        [shown] = page.exposure.shown
        assert (shown.fit, shown.source) == (
            ("personal_high", "affinity") if expected == "kitchen" else ("none", "click_rate")
        )
        assert shown.score == pytest.approx(0.05 if expected == "kitchen" else 0.06)
        assert page.slate.tier == ("personal" if expected == "kitchen" else "popular")
        assert page.slate.degraded is None
        assert (shown.propensity, page.exposure.candidates) == (1.0, ())


def test_why_a_banner_is_not_there_is_told_by_click_rates() -> None:
    """`plain` is clicked more often, so it stands before what fits better."""
    kitchen, plain = banner("kitchen", categories=["home > KITCHEN"]), banner("plain")
    shelf = make_shelf(hero(), kitchen, plain)
    visit = make_visit(shelf, user_key="new", recent=[Recent("pot")])
    visit.rates = table({"kitchen": 0.01, "plain": 0.04})
    visit.why = ("kitchen",)
    [page] = decide(shelf, visit, "hero")
    assert banners_of(page) == ["plain"]
    [why] = page.slate.why or ()
    assert (why.reason, why.rank) == ("ranked_below", 2)
    assert why.score == pytest.approx(0.025)


def test_segment_has_rates_of_its_own() -> None:
    """Alice's segment clicks the garden; everybody else the kitchen."""
    shelf = make_shelf(hero(), banner("garden"), banner("kitchen"))
    visit = make_visit(shelf, user_key=ALICE)
    assert visit.segment is not None
    mine = table({"garden": 0.09, "kitchen": 0.01}, segment=visit.segment)
    all_ = table({"garden": 0.01, "kitchen": 0.03})
    visit.rates = mine
    [page] = decide(shelf, visit, "hero")
    assert (banners_of(page), page.exposure.segment) == (["garden"], visit.segment)
    stranger = make_visit(shelf, anonymous_key="a1")
    stranger.rates = all_
    [page] = decide(shelf, stranger, "hero")
    assert (banners_of(page), page.exposure.segment) == (["kitchen"], None)


def test_new_banner_starts_at_the_prior() -> None:
    """One that nothing is known of is worth 2 %: above a bad one, below a good one."""
    shelf = make_shelf(hero(count=3), *map(banner, ("bad", "good", "new")))
    visit = make_visit(shelf)
    visit.rates = table({"good": 0.03, "bad": 0.01})
    [page] = decide(shelf, visit, "hero")
    assert banners_of(page) == ["good", "new", "bad"]


def test_control_and_unlearned_placements_stay_as_they_were() -> None:
    """Control has the static list; a placement without rates ranks by affinity."""
    shelf = make_shelf(
        hero(static_ids=["bad"]), Rollout(key="hero", share=0.0), banner("bad"), banner("good")
    )
    visit = make_visit(shelf, user_key=ALICE)
    visit.rates = table({"good": 0.9, "bad": 0.1})
    [page] = decide(shelf, visit, "hero")
    assert banners_of(page) == ["bad"]
    assert page.exposure.shown[0].fit is None
    shelf = make_shelf(msgspec.structs.replace(hero(), id="side"), banner("bad"), banner("good"))
    [page] = decide(shelf, visit, PlacementRequest(id="side"))
    assert (banners_of(page), page.exposure.shown[0].source) == (["bad"], "weight")


def test_reload_shows_the_same_in_every_worker() -> None:
    """Two tables made apart draw alike; the next hour draws anew."""
    shelf = make_shelf(hero(explore_share=0.5), *map(banner, "abcdefgh"))
    hour_ms = TRAINED_MS // MS_PER_HOUR * MS_PER_HOUR

    def slates(now_ms: int) -> list[list[str]]:
        rates, found = table({"a": 0.03}, strength=20), []
        for unit in range(40):
            visit = make_visit(shelf, anonymous_key=f"a{unit}", now_ms=now_ms)
            visit.rates = rates
            found.append(banners_of(decide(shelf, visit, "hero")[0]))
        return found

    first = slates(hour_ms)
    assert slates(hour_ms + MS_PER_HOUR - 1) == first
    assert slates(hour_ms + MS_PER_HOUR) != first
    assert len({tuple(one) for one in first}) > 2


def test_book_opens_at_the_period() -> None:
    """The next period's table waits for it; of a gap the one before serves; before all, none."""
    book = RateBook(1_000)
    book.put([PublishedRates(period, (), ()) for period in (5, 7)])
    found = [book.at(now_ms) for now_ms in (4_999, 5_000, 6_500, 7_000)]
    assert [one and one.period for one in found] == [None, 5, 5, 7]


@pytest.mark.parametrize("is_learned", [True, False])
def test_what_takes_the_place_of_a_resting_banner_is_drawn_anew(is_learned: bool) -> None:
    """Whoever was shown `a` once comes again in the same hour, when it rests for them.

    Of those shoppers, too, each banner is shown as often as its propensity says. With the draw of
    before, whom the best was shown would be shown the best that is left, every time.
    """
    shelf = make_shelf(hero(explore_share=0.4), *map(banner, "abc"))
    rates = table({"a": 0.05, "b": 0.04, "c": 0.03}, strength=100) if is_learned else None

    def shown(unit: int, resting: frozenset[str]) -> tuple[str, float]:
        visit = make_visit(shelf, anonymous_key=f"a{unit}")
        visit.rates, visit.resting = rates, resting
        [one] = decide(shelf, visit, "hero")[0].exposure.shown
        return one.id, one.propensity

    again = [
        shown(unit, frozenset("a")) for unit in range(4_000) if shown(unit, frozenset())[0] == "a"
    ]
    assert len(again) > 2_000
    stated = dict(again)
    assert sorted(stated) == ["b", "c"]
    for banner_id, n in Counter(one for one, _ in again).items():
        propensity = stated[banner_id]
        margin = Z * sqrt(propensity * (1 - propensity) / len(again))
        assert abs(n / len(again) - propensity) <= margin, banner_id


def test_why_tells_of_chance_and_ranks_what_may_stand_there() -> None:
    """The best banner, where chance put another; the third, where two before it may not stand."""
    shelf = make_shelf(hero(explore_share=0.5), *map(banner, "abc"))
    for unit in range(200):
        visit = make_visit(shelf, anonymous_key=f"a{unit}")
        visit.rates = table({"a": 0.05, "b": 0.04, "c": 0.03}, strength=50)
        visit.why = ("a",)
        [page] = decide(shelf, visit, "hero")
        [why] = page.slate.why or ()
        is_there = banners_of(page) == ["a"]
        assert (why.reason, why.rank) == (("shown", None) if is_there else ("explored_away", 1))
    shelf = make_shelf(hero(), *map(banner, "abc"))
    visit = make_visit(shelf, anonymous_key="a1")
    visit.rates, visit.why = table({"a": 0.05, "b": 0.04, "c": 0.03}), ("c",)
    visit.resting = frozenset("a")
    [page] = decide(shelf, visit, "hero")
    [why] = page.slate.why or ()
    assert banners_of(page) == ["b"]
    assert (why.reason, why.rank, why.source) == ("ranked_below", 2, "click_rate")
