"""Which banners stand in a placement."""

from datetime import UTC, datetime

import msgspec
import pytest

from service.control.documents import Banner, Placement
from service.rollouts.definition import Rollout
from service.serve.request import Context, PlacementRequest
from tests.snapshots import ALICE, TRAINED_MS
from tests.unit.service.serve.pages import Recent, banners_of, decide, make_shelf, make_visit


def banner(banner_id: str, **fields: object) -> Banner:
    """Make a banner that is on."""
    made: dict[str, object] = {"id": banner_id, "title": banner_id, **fields}
    return msgspec.convert({"image_url": "/i.jpg", "link_url": "/l", **made}, Banner)


def hero(**fields: object) -> Placement:
    """Make a placement of one banner."""
    return msgspec.convert({"id": "hero", "kind": "banners", **fields}, Placement)


KITCHEN = banner("kitchen", categories=["home > KITCHEN"])
GARDEN = banner("garden", item_ids=["rose"])
BULBS = banner("bulbs", attributes=["lumo"])
ALL = (KITCHEN, GARDEN, BULBS)


@pytest.mark.parametrize(
    ("viewed", "expected"),
    [("pot", "kitchen"), ("mug", "kitchen"), ("rose", "garden"), ("bulb", "bulbs")],
)
def test_banner_fits_the_history(viewed: str, expected: str) -> None:
    """By category path (and those below), by item, by brand as an attribute."""
    shelf = make_shelf(hero(), *ALL)
    [page] = decide(shelf, make_visit(shelf, user_key="new", recent=[Recent(viewed)]), "hero")
    assert banners_of(page) == [expected]
    assert (page.slate.tier, page.slate.degraded) == ("personal", None)
    assert page.exposure.kind == "banners"
    assert [(one.id, one.source) for one in page.exposure.shown] == [(expected, "affinity")]


def test_likeness_counts_half_of_a_match() -> None:
    """The garden banner names the rose only; a spade is as like it as can be: 0.5 · cosine 1."""
    shelf = make_shelf(hero(), GARDEN, banner("other", weight=9))
    [page] = decide(shelf, make_visit(shelf, user_key="new", recent=[Recent("spade")]), "hero")
    assert banners_of(page) == ["garden"]
    assert [one.score for one in page.exposure.shown] == [0.5]


def test_weight_multiplies_the_affinity() -> None:
    """A history of both, weighted 1:1: 0.5 · 3 beats 0.5."""
    shelf = make_shelf(hero(), KITCHEN, msgspec.structs.replace(GARDEN, weight=3.0))
    visit = make_visit(shelf, user_key="new", recent=[Recent("pot"), Recent("rose")])
    [page] = decide(shelf, visit, PlacementRequest(id="hero", count=2))
    assert banners_of(page) == ["garden", "kitchen"]


def test_page_and_country_speak_for_someone_unknown() -> None:
    """The lamp's page asks for bulbs; a visitor from GB, where spades are liked, for the garden."""
    shelf = make_shelf(hero(), *ALL)
    [lamp] = decide(shelf, make_visit(shelf, context=Context(item_ids=("lamp",))), "hero")
    [country] = decide(shelf, make_visit(shelf, context=Context(country="GB")), "hero")
    assert (banners_of(lamp), banners_of(country)) == (["bulbs"], ["garden"])
    assert lamp.slate.tier == country.slate.tier == "segment"


def test_schedule_weight_and_switch_keep_banners_away() -> None:
    """Not before its start, not from its end on, not with weight 0, not switched off."""
    now = datetime.fromtimestamp(TRAINED_MS / 1000, UTC)
    shelf = make_shelf(
        hero(count=5),
        banner("ended", ends_at=now),
        banner("begins", starts_at=now),
        banner("later", starts_at=now.replace(year=now.year + 1)),
        banner("weightless", weight=0),
        banner("off", enabled=False),
        snapshot=None,
    )
    [page] = decide(shelf, make_visit(shelf), "hero")
    assert banners_of(page) == ["begins"]


def test_control_gets_the_static_banner() -> None:
    """The merchandiser's own, whatever the shopper likes; unknown ids are passed over."""
    placement = hero(static_ids=["nowhere", "bulbs"])
    shelf = make_shelf(placement, *ALL, Rollout(key="hero", share=0.0))
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "hero")
    assert banners_of(page) == ["bulbs"]
    assert (page.slate.tier, page.slate.degraded) == ("static", None)


def test_banners_leave_the_lists_of_items_alone() -> None:
    """Both ask the shelf for the same prior; the items keep their tier and source."""
    items = msgspec.convert({"id": "recs", "kind": "items", "count": 1}, Placement)
    shelf = make_shelf(hero(), items, *ALL)
    _, page = decide(shelf, make_visit(shelf), "hero", "recs")
    assert page.slate.tier == "popular"
    assert [one.source for one in page.exposure.shown] == ["popular"]


def test_two_placements_never_show_the_same_banner() -> None:
    """The second placement takes the next one."""
    second = msgspec.structs.replace(hero(), id="second")
    shelf = make_shelf(hero(), second, *ALL)
    pages = decide(shelf, make_visit(shelf, user_key=ALICE), "hero", "second")
    assert banners_of(pages[0]) == ["kitchen"]
    assert banners_of(pages[0]) != banners_of(pages[1])


def test_no_model_serves_banners_by_weight() -> None:
    """Without a snapshot the list of the placement, then the heaviest."""
    shelf = make_shelf(
        hero(count=3, static_ids=["garden"]), *ALL, banner("big", weight=5), snapshot=None
    )
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "hero")
    assert banners_of(page) == ["garden", "big", "bulbs"]
    assert (page.slate.tier, page.slate.degraded) == ("static", "no_model")


def test_exploration_gives_other_banners_a_share() -> None:
    """With a share of 0.5 the best banner stands there about half of the time."""
    shelf = make_shelf(hero(explore_share=0.5), KITCHEN, GARDEN)
    shown = [
        (one.id, one.propensity)
        for unit in range(400)
        for page in decide(shelf, make_visit(shelf, anonymous_key=f"a{unit}"), "hero")
        for one in page.exposure.shown
    ]
    assert {propensity for _, propensity in shown} == {0.5}
    garden = sum(banner_id == "garden" for banner_id, _ in shown)
    assert abs(garden / 400 - 0.5) < 3.3 * 0.5 / 20


def test_variant_shows_the_banners_that_it_names() -> None:
    """A variant's banners come in its order, before all others, whatever the shopper likes."""
    variant = {"key": "sale", "banner_ids": ["bulbs", "gone", "garden"]}
    rollout = msgspec.convert({"key": "hero", "share": 1, "variants": [variant]}, Rollout)
    shelf = make_shelf(hero(count=2), rollout, *ALL)
    visit = make_visit(shelf, user_key="new", recent=[Recent("pot")])
    [page] = decide(shelf, visit, "hero")
    assert banners_of(page) == ["bulbs", "garden"]
    assert (page.exposure.variant, page.exposure.recipe) == ("sale", "static")


@pytest.mark.parametrize(
    ("attributes", "variant", "logged"),
    [({"tier": "gold"}, "sale", "SPLIT"), ({"tier": "iron"}, "control", "AUDIENCE")],
)
def test_audience_asks_for_attributes_of_the_request(
    attributes: dict[str, object], variant: str, logged: str
) -> None:
    """What a request says of itself decides, and the exposure keeps the finer reason."""
    audience = {
        "op": "all",
        "of": [
            {"op": "equals", "attribute": "tier", "value": "gold"},
            {"op": "version", "at_least": "4.2"},
        ],
    }
    fields = {"key": "hero", "share": 1, "variants": [{"key": "sale"}], "audience": audience}
    shelf = make_shelf(hero(), msgspec.convert(fields, Rollout), *ALL)
    context = msgspec.convert({"app_version": "4.10", "attributes": attributes}, Context)
    [page] = decide(shelf, make_visit(shelf, user_key="new", context=context), "hero")
    assert (page.exposure.variant, page.exposure.reason) == (variant, logged)
    assert page.slate.rollout is not None
    assert page.slate.rollout.detail == (None if variant == "sale" else "AUDIENCE")
