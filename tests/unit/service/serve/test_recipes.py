"""The recipes of items other than `for_you`."""

import pytest

from models.events import InteractionKind
from service.exposure import Tier
from service.rollouts.definition import Recipe
from service.serve.request import Context
from tests.snapshots import ALICE
from tests.unit.service.serve.pages import (
    Recent,
    decide,
    items_of,
    items_placement,
    make_shelf,
    make_visit,
)


@pytest.mark.parametrize(
    ("recipe", "context_ids", "expected", "sources"),
    [
        ("similar_items", ("mug",), ["newmug", "cup", "pan"], ["similar"] * 3),
        # mug: newmug 0.95, pan 0.3; cup: newmug 0.8 more; both speakers are on the page
        ("similar_items", ("mug", "cup"), ["newmug", "pan", "pot"], ["similar"] * 2 + ["category"]),
        (
            "bought_together",
            ("lamp",),
            ["bulb", "rose", "mug"],
            ["bought_together"] + ["popular"] * 2,
        ),
        # what is bought together runs out, then likeness speaks
        (
            "bought_together",
            ("mug",),
            ["pan", "newmug", "cup"],
            ["bought_together"] + ["similar"] * 2,
        ),
    ],
)
def test_recipe_of_a_page_asks_its_items(
    recipe: Recipe, context_ids: tuple[str, ...], expected: list[str], sources: list[str]
) -> None:
    """The neighbours of the page's items, summed, then the lower tiers."""
    shelf = make_shelf(items_placement(recipe=recipe))
    [page] = decide(shelf, make_visit(shelf, context=Context(item_ids=context_ids)), "recs")
    assert items_of(page) == expected
    assert [shown.source for shown in page.exposure.shown] == sources
    assert (page.slate.tier, page.slate.degraded) == ("segment", None)


@pytest.mark.parametrize("recipe", ["similar_items", "bought_together"])
def test_recipe_of_a_page_without_items_says_so(recipe: Recipe) -> None:
    """A page that names no item cannot be answered as wished."""
    shelf = make_shelf(items_placement(recipe=recipe))
    [page] = decide(shelf, make_visit(shelf), "recs")
    assert (page.slate.tier, page.slate.degraded) == ("popular", "no_candidates")


@pytest.mark.parametrize(
    ("country", "expected", "tier"),
    [("GB", ["spade", "lamp", "bulb"], "segment"), (None, ["lamp", "bulb", "rose"], "popular")],
)
def test_trending_goes_from_the_country_to_everywhere(
    country: str | None, expected: list[str], tier: Tier
) -> None:
    """The country's trend first, then that of all."""
    shelf = make_shelf(items_placement(recipe="trending"))
    [page] = decide(shelf, make_visit(shelf, context=Context(country=country)), "recs")
    assert items_of(page) == expected
    assert page.slate.tier == tier
    assert page.slate.degraded is None


def test_recently_viewed_is_the_history_newest_first() -> None:
    """The lamp was viewed last; the pan, though bought, is there; what is unavailable is not."""
    shelf = make_shelf(items_placement(recipe="recently_viewed"))
    news = [Recent("gone"), Recent("rose"), Recent("lamp", InteractionKind.CLICK)]
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE, recent=news), "recs")
    assert items_of(page) == ["lamp", "rose", "pan"]
    assert page.slate.tier == "personal"


def test_recently_viewed_of_somebody_new_is_no_failure() -> None:
    """Nothing was viewed yet, so the lower tiers answer."""
    shelf = make_shelf(items_placement(recipe="recently_viewed"))
    [page] = decide(shelf, make_visit(shelf, anonymous_key="new"), "recs")
    assert (page.slate.tier, page.slate.degraded) == ("popular", None)


def test_static_recipe_is_the_list_as_written() -> None:
    """A placement may be static for all; the items of the catalogue come with their attributes."""
    shelf = make_shelf(items_placement(recipe="static", static_ids=["köpek", "outside", "mug"]))
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    assert items_of(page) == ["köpek", "outside", "mug"]
