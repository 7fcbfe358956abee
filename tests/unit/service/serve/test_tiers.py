"""Which tier answers a placement of items, and what it says of a failure."""

import pytest

from models.events import InteractionKind
from service.rollouts.definition import Rollout, Variant
from service.serve.request import Context, PlacementRequest
from tests.snapshots import ALICE
from tests.unit.service.serve.pages import (
    Recent,
    decide,
    items_of,
    items_placement,
    make_shelf,
    make_visit,
    served_items,
)


def test_known_shopper_gets_personal_items_not_bought() -> None:
    """The pan speaks for the pot, the mug for the cup; the pan itself is bought."""
    shelf = make_shelf(items_placement())
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    # weights 5 (purchase, one day) and 1 (view, two days): the pot 0.8 · 0.83, the mug 0.5 · 0.83
    assert items_of(page) == ["pot", "mug", "cup"]
    assert (page.slate.tier, page.slate.degraded) == ("personal", None)
    assert [shown.because for shown in page.exposure.shown] == ["pan", "pan", "mug"]


def test_bought_items_come_back_when_the_placement_says_so() -> None:
    """With `exclude_purchased` off the pot's and the mug's neighbour, the pan, may stand there."""
    shelf = make_shelf(items_placement(count=10, exclude_purchased=False))
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    assert "pan" in items_of(page)


def test_placement_may_keep_the_reason_to_itself() -> None:
    """Without `show_because` the same items stand there, and neither answer nor log says why."""
    shelf = make_shelf(items_placement(show_because=False))
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    assert items_of(page) == ["pot", "mug", "cup"]
    assert [item.because for item in served_items(page)] == [None, None, None]
    assert [shown.because for shown in page.exposure.shown] == [None, None, None]


def test_merchandiser_who_asks_sees_the_reason_all_the_same() -> None:
    """With `explain`, which needs a merchandiser key, `because` is there."""
    shelf = make_shelf(items_placement(show_because=False))
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE, explain=True), "recs")
    assert [item.because for item in served_items(page)] == ["pan", "pan", "mug"]


def test_unknown_shopper_gets_the_country_then_what_is_popular() -> None:
    """Two items of the country's list, then the best popular one that is available."""
    shelf = make_shelf(items_placement())
    visit = make_visit(shelf, anonymous_key="new", context=Context(country="GB"))
    [page] = decide(shelf, visit, "recs")
    assert items_of(page) == ["spade", "rose", "mug"]
    assert [shown.source for shown in page.exposure.shown] == ["country", "country", "popular"]
    assert (page.slate.tier, page.slate.degraded) == ("segment", None)


@pytest.mark.parametrize("country", [None, "XX"])
def test_unknown_country_gets_what_is_popular(country: str | None) -> None:
    """Without a list of the country the popular one answers, and that is no failure."""
    shelf = make_shelf(items_placement())
    [page] = decide(shelf, make_visit(shelf, context=Context(country=country)), "recs")
    assert items_of(page) == ["rose", "mug", "lamp"]
    assert (page.slate.tier, page.slate.degraded) == ("popular", None)


def test_page_of_an_item_gets_the_nearest_category_with_a_list() -> None:
    """The mug's own category has no list, the one above has; the mug itself is on the page."""
    shelf = make_shelf(items_placement())
    [page] = decide(shelf, make_visit(shelf, context=Context(item_ids=("mug",))), "recs")
    assert items_of(page) == ["pan", "pot", "rose"]
    assert page.slate.tier == "segment"


def test_two_views_of_an_unknown_shopper_make_the_page_personal() -> None:
    """The rose speaks for the spade, the lamp for the bulb; the lamp's other neighbour is gone."""
    shelf = make_shelf(items_placement())
    visit = make_visit(shelf, anonymous_key="new", recent=[Recent("rose"), Recent("lamp")])
    [page] = decide(shelf, visit, "recs")
    # equal weights: spade 0.45 + 0.05, bulb 0.4 + 0.04, then by popularity alone
    assert items_of(page) == ["spade", "bulb", "rose"]
    assert page.slate.tier == "personal"


@pytest.mark.parametrize("item_id", ["never heard of", "köpek"])
def test_views_that_the_model_cannot_use_are_not_personal(item_id: str) -> None:
    """An unknown item says nothing; a known one without neighbours says no more."""
    shelf = make_shelf(items_placement())
    visit = make_visit(shelf, anonymous_key="new", recent=[Recent(item_id)])
    [page] = decide(shelf, visit, "recs")
    assert items_of(page) == ["rose", "mug", "lamp"]
    assert page.slate.tier == "popular"
    assert page.slate.degraded == ("no_candidates" if item_id == "köpek" else None)


@pytest.mark.parametrize(
    ("static_ids", "tier", "degraded"),
    [(("mug",), "popular", None), ((), "popular", "no_candidates")],
)
def test_short_static_list_that_is_topped_up_is_no_failure(
    static_ids: tuple[str, ...], tier: str, degraded: str | None
) -> None:
    """What the merchandiser wrote is shown, so nothing failed; an empty list shows nothing."""
    shelf = make_shelf(items_placement(recipe="static", static_ids=static_ids))
    [page] = decide(shelf, make_visit(shelf), "recs")
    assert len(items_of(page)) == 3
    assert (page.slate.tier, page.slate.degraded) == (tier, degraded)


def test_new_item_reaches_the_list_through_its_neighbours() -> None:
    """The new mug has no interaction, but the mug and the cup speak for it."""
    shelf = make_shelf(items_placement(count=4))
    visit = make_visit(shelf, user_key="new", recent=[Recent("mug"), Recent("cup")])
    [page] = decide(shelf, visit, "recs")
    assert "newmug" in items_of(page)


def test_slate_is_full_while_anything_may_be_shown() -> None:
    """Ten of eleven items are available: asking for a hundred gives ten, the cold one last."""
    shelf = make_shelf(items_placement())
    [page] = decide(shelf, make_visit(shelf), PlacementRequest(id="recs", count=100))
    assert len(items_of(page)) == 10
    assert items_of(page)[-1] == "newmug"
    assert "gone" not in items_of(page)


def test_no_model_serves_the_static_list() -> None:
    """Without a snapshot the merchandiser's list answers, with ids and no attributes."""
    shelf = make_shelf(items_placement(static_ids=["x", "y"]), snapshot=None)
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    assert items_of(page) == ["x", "y"]
    assert (page.slate.tier, page.slate.degraded) == ("static", "no_model")
    assert page.exposure.model_version is None


def test_nothing_at_all_gives_an_empty_slate_that_says_so() -> None:
    """Neither model nor static list: an empty slate of the lowest tier."""
    shelf = make_shelf(items_placement(), snapshot=None)
    [page] = decide(shelf, make_visit(shelf), "recs")
    assert items_of(page) == []
    assert (page.slate.tier, page.slate.degraded) == ("static", "no_model")


def test_late_request_skips_the_scoring() -> None:
    """With the deadline near, a profile that is not worked out is not begun."""
    shelf = make_shelf(items_placement())
    visit = make_visit(shelf, user_key=ALICE, context=Context(country="GB"), is_late=True)
    [page] = decide(shelf, visit, "recs")
    assert (page.slate.tier, page.slate.degraded) == ("segment", "deadline")


def test_late_request_keeps_what_is_worked_out() -> None:
    """Candidates that are there already are served, however late it is."""
    shelf = make_shelf(items_placement())
    visit = make_visit(shelf, user_key=ALICE)
    decide(shelf, visit, "recs")
    visit.is_late = lambda: True
    [page] = decide(shelf, visit, "recs")
    assert (page.slate.tier, page.slate.degraded) == ("personal", None)


def test_control_gets_the_static_list() -> None:
    """A share of 0 puts everyone in control: the list as written, even for a known shopper."""
    placement = items_placement(static_ids=["lamp", "outside", "gone", "rose", "pot"])
    shelf = make_shelf(placement, Rollout(key="recs", share=0.0))
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    assert items_of(page) == ["lamp", "outside", "rose"]
    assert (page.slate.tier, page.slate.degraded) == ("static", None)
    assert page.slate.rollout is not None
    assert page.slate.rollout.variant == "control"
    assert (page.exposure.rollout_key, page.exposure.variant) == ("recs", "control")
    assert page.exposure.recipe == "static"


def test_short_static_list_is_topped_up_with_what_is_popular() -> None:
    """Control's slate has the same length as the other arm's."""
    shelf = make_shelf(items_placement(static_ids=["lamp"]), Rollout(key="recs", share=0.0))
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    assert items_of(page) == ["lamp", "rose", "mug"]


def test_variant_names_the_recipe() -> None:
    """A treated unit gets the recipe of its variant."""
    rollout = Rollout(key="recs", share=1.0, variants=(Variant(key="hot", recipe="trending"),))
    shelf = make_shelf(items_placement(), rollout)
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    assert items_of(page)[:2] == ["lamp", "bulb"]
    assert page.exposure.variant == "hot"


def test_shopper_without_id_is_in_control() -> None:
    """Nothing is drawn where there is no unit."""
    shelf = make_shelf(items_placement(static_ids=["pot"]), Rollout(key="recs", share=1.0))
    [page] = decide(shelf, make_visit(shelf), "recs")
    assert page.slate.rollout is not None
    assert (page.slate.rollout.variant, page.slate.rollout.reason) == ("control", "NO_UNIT")
    assert (page.exposure.unit_kind, page.exposure.unit_key) == (None, None)


def test_newest_events_change_what_is_bought() -> None:
    """A purchase takes the pot off the list at once, a refund brings the pan back."""
    shelf = make_shelf(items_placement(count=10))
    news = [Recent("pot", InteractionKind.PURCHASE), Recent("pan", InteractionKind.REFUND)]
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE, recent=news), "recs")
    assert "pot" not in items_of(page)
    assert "pan" in items_of(page)
