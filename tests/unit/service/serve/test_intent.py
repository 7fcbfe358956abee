"""What a visit's events say the shopper is here for, and what a placement makes of it."""

import pytest

from models.events import InteractionKind
from service.serve.intent import SESSION_MS, intent_of
from service.serve.request import Context
from tests.snapshots import ALICE, TRAINED_MS
from tests.unit.service.serve.pages import (
    Recent,
    decide,
    items_of,
    items_placement,
    make_shelf,
    make_visit,
)

CART, BUY = InteractionKind.ADD_TO_CART, InteractionKind.PURCHASE
NOW_MS = 10 * SESSION_MS
CATEGORIES = {"mug": 1, "cup": 1, "jug": 1, "rose": 2, "lamp": 3}


def looks(*item_ids: str, at_ms: int = NOW_MS - 1) -> list[Recent]:
    """Make views at one moment."""
    return [Recent(item_id, at_ms=at_ms) for item_id in item_ids]


@pytest.mark.parametrize(
    ("recent", "intent"),
    [
        ([], "arriving"),
        (looks("mug", at_ms=NOW_MS - SESSION_MS), "arriving"),
        (looks("mug", at_ms=NOW_MS - SESSION_MS + 1), "browsing"),
        (looks("mug", at_ms=NOW_MS + 1), "arriving"),
        (looks("mug", "cup"), "browsing"),
        (looks("mug", "cup", "rose"), "focused"),
        (looks("mug", "mug", "mug"), "browsing"),
        (looks("mug", "cup", "rose", "lamp"), "browsing"),
        (looks("unknown", "new", "odd"), "browsing"),
        ([Recent("mug", CART, NOW_MS - 5)], "buying"),
        ([Recent("mug", CART, NOW_MS - 5), Recent("mug", BUY, NOW_MS - 4)], "browsing"),
        ([Recent("mug", CART, NOW_MS - 5), Recent("cup", BUY, NOW_MS - 4)], "buying"),
    ],
)
def test_intent_is_told_from_the_visit(recent: list[Recent], intent: str) -> None:
    """Two of three of one category are two thirds; two of four are not; unknown ones are none."""
    assert intent_of(recent, NOW_MS, CATEGORIES.get) == intent


def test_visit_goes_back_to_the_last_silence() -> None:
    """A basket of 50 minutes ago is of this visit if something came in between."""
    old = Recent("mug", CART, NOW_MS - 50 * 60_000)
    between = Recent("rose", at_ms=NOW_MS - 25 * 60_000)
    assert intent_of([old, between], NOW_MS, CATEGORIES.get) == "buying"
    assert intent_of([old], NOW_MS, CATEGORIES.get) == "arriving"


def for_segment(segment: str, recipe: str) -> dict[str, object]:
    """Say how to fill a placement for a segment."""
    return {"audience": {"op": "segment", "segment": segment}, "recipe": recipe}


def test_placement_is_filled_by_intent() -> None:
    """With the lamp in the basket its page shows what goes with it; before, what is rising."""
    recipes = [for_segment("intent:buying", "bought_together")]
    shelf = make_shelf(items_placement(recipe="trending", recipes=recipes, count=1))
    page = Context(item_ids=("mug",))
    [before] = decide(shelf, make_visit(shelf, anonymous_key="new", context=page), "recs")
    bought = make_visit(
        shelf, anonymous_key="new", context=page, recent=[Recent("mug", CART, TRAINED_MS - 1)]
    )
    [after] = decide(shelf, bought, "recs")
    assert (items_of(before), before.exposure.recipe) == (["lamp"], "trending")
    assert (items_of(after), after.exposure.recipe) == (["pan"], "bought_together")


def test_first_recipe_that_fits_wins() -> None:
    """Alice is a regular; that she is arriving, too, comes second."""
    recipes = [
        for_segment("value:regular", "recently_viewed"),
        for_segment("intent:arriving", "trending"),
    ]
    shelf = make_shelf(items_placement(recipes=recipes, count=1))
    [alice] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    [stranger] = decide(shelf, make_visit(shelf, anonymous_key="new"), "recs")
    [nobody] = decide(shelf, make_visit(shelf), "recs")
    recipes_of = [one.exposure.recipe for one in (alice, stranger, nobody)]
    assert recipes_of == ["recently_viewed", "trending", "for_you"]
