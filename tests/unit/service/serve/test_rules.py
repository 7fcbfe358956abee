"""Rules of merchandisers on the tiny shop: every slate is worked out by hand.

Without rules somebody unknown sees rose, mug, lamp, pan, cup, spade, bulb, pot, köpek, newmug;
alice, who viewed the mug and bought the pan, sees pot, mug, cup first.
"""

from typing import Any

import msgspec
import pytest

from service.control.documents import Banner, Document, ItemStatus
from service.control.rule import Rule
from service.rollouts.definition import Rollout
from service.serve.page import BannerSlate, ItemSlate
from service.serve.request import Context
from tests.snapshots import ALICE, DAY_MS, ITEM_IDS, TRAINED_MS
from tests.unit.service.serve.pages import (
    banners_of,
    decide,
    items_of,
    items_placement,
    make_shelf,
    make_visit,
)


def rule(rule_id: str, action: str, select: dict[str, Any] | None = None, **fields: Any) -> Rule:
    """Make a rule from the fields of its JSON."""
    made = {"id": rule_id, "action": action, "select": select or {}, **fields}
    return msgspec.convert(made, Rule)


def pin(rule_id: str, position: int, *item_ids: str, **fields: Any) -> Rule:
    """Make a pin of items."""
    return rule(rule_id, "pin", {"item_ids": list(item_ids)}, position=position, **fields)


def slate(*documents: Document, count: int = 4, **visit: Any) -> list[str]:
    """Show one placement under these documents."""
    shelf = make_shelf(items_placement(count=count), *documents)
    [page] = decide(shelf, make_visit(shelf, **visit), "recs")
    return items_of(page)


def notes(*documents: Document, **visit: Any) -> dict[str, Any]:
    """Return what the rules did, by id."""
    shelf = make_shelf(items_placement(), *documents)
    [page] = decide(shelf, make_visit(shelf, explain=True, **visit), "recs")
    assert isinstance(page.slate, ItemSlate)
    assert page.slate.rules
    return {one["id"]: one for one in msgspec.json.decode(msgspec.json.encode(page.slate.rules))}


def test_pin_stands_at_its_position_and_nowhere_else() -> None:
    """The others close up around it; it is certain, and says what it is."""
    shelf = make_shelf(items_placement(), pin("r", 2, "bulb"))
    [page] = decide(shelf, make_visit(shelf), "recs")
    assert items_of(page) == ["rose", "bulb", "mug"]
    pinned = page.exposure.shown[1]
    assert (pinned.source, pinned.propensity, pinned.score) == ("pin", 1.0, None)
    assert (page.slate.tier, page.slate.degraded) == ("popular", None)


def test_pin_of_what_is_in_the_list_moves_it() -> None:
    """The mug stands first, and not again where its rank is."""
    assert slate(pin("r", 1, "lamp")) == ["lamp", "rose", "mug", "pan"]


def test_higher_priority_has_the_position_then_the_smaller_id() -> None:
    """Both pins that lose are named with the winner."""
    rules = pin("b", 1, "bulb"), pin("a", 1, "pot"), pin("c", 1, "spade", priority=1)
    assert slate(*rules)[0] == "spade"
    assert slate(*rules[:2])[0] == "pot"
    said = notes(*rules)
    assert said["c"]["ids"] == ["spade"]
    assert said["a"]["skipped"] == [{"id": "pot", "reason": "outranked", "by_rule": "c"}]


def test_hide_beats_pin() -> None:
    """Whatever the priorities; the note names the rule that hides."""
    rules = pin("p", 1, "bulb", priority=9), rule("h", "hide", {"categories": ["Home > Light"]})
    assert slate(*rules) == ["rose", "mug", "pan", "cup"]
    assert notes(*rules)["p"]["skipped"] == [
        {"id": "bulb", "reason": "hidden_by_rule", "by_rule": "h"}
    ]


@pytest.mark.parametrize(
    ("item_id", "reason"), [("gone", "unavailable"), ("rose", "hidden"), ("pan", "purchased")]
)
def test_pin_of_what_may_not_stand_is_skipped_and_said(item_id: str, reason: str) -> None:
    """The position goes to the ranking, or to the next item that the rule names."""
    hidden = ItemStatus(item_id="rose", hidden=True)
    assert slate(pin("r", 1, item_id), hidden, user_key=ALICE)[0] == "pot"
    assert slate(pin("r", 1, item_id, "bulb"), hidden, user_key=ALICE)[0] == "bulb"
    said = notes(pin("r", 1, item_id), hidden, user_key=ALICE)
    assert said["r"] == {
        "id": "r",
        "name": None,
        "action": "pin",
        "ids": [],
        "skipped": [{"id": item_id, "reason": reason, "by_rule": None}],
    }


def test_pin_beyond_the_slate_is_said_and_one_beyond_the_candidates_closes_up() -> None:
    """Ten items may be shown: a pin at 50 of a slate of 100 stands tenth."""
    assert notes(pin("r", 9, "bulb"))["r"]["skipped"][0]["reason"] == "beyond_slate"
    assert slate(pin("r", 50, "rose"), count=100)[9:] == ["rose"]


def test_pin_without_ids_takes_the_best_that_fits() -> None:
    """Of the lights the lamp is the more popular one; for who has seen it, it is still the best."""
    light = rule("r", "pin", {"categories": ["home > light"]}, position=1)
    assert slate(light) == ["lamp", "rose", "mug", "pan"]
    assert slate(light, rule("h", "hide", {"item_ids": ["lamp"]}))[0] == "bulb"


def test_pin_never_breaks_a_cap() -> None:
    """Two mugs of one brand where one may stand: the second pin is skipped."""
    shelf = make_shelf(
        items_placement(max_per_brand=1, count=2), pin("a", 1, "mug"), pin("b", 2, "cup")
    )
    [page] = decide(shelf, make_visit(shelf, explain=True), "recs")
    assert items_of(page) == ["mug", "rose"]


@pytest.mark.parametrize(
    ("select", "selected"),
    [
        ({"item_ids": ["mug", "never heard of"]}, {"mug"}),
        ({"brands": ["lumo"]}, {"lamp", "bulb"}),
        ({"categories": ["home>kitchen"]}, {"mug", "cup", "pan", "pot", "newmug"}),
        ({"categories": ["Home > Kit"]}, set()),
        ({"attributes": ["Pot", "KÖPEK"]}, {"pot", "köpek"}),
        ({"attributes": ["acme"]}, {"mug", "cup", "newmug"}),
        ({"price_at_least": 6, "price_below": 8}, {"lamp", "bulb"}),
        ({"new_for_days": 7}, {"newmug"}),
        ({"without_interactions": True}, {"newmug"}),
        ({"brands": ["Acme"], "price_below": 1}, {"mug"}),
    ],
)
def test_selection_finds_what_every_field_fits(select: dict[str, Any], selected: set[str]) -> None:
    """Of a list one entry is enough; case does not count; a path reaches what is below it."""
    left = slate(rule("h", "hide", select), count=11)
    assert set(ITEM_IDS) - {"gone"} - set(left) == selected


def test_new_items_are_new_by_the_clock() -> None:
    """The new mug came a moment before the training; a week later it is not new any more."""
    hide = rule("h", "hide", {"new_for_days": 7})
    assert "newmug" not in slate(hide, count=11, now_ms=TRAINED_MS + 7 * DAY_MS)
    assert "newmug" in slate(hide, count=11, now_ms=TRAINED_MS + 7 * DAY_MS + 1)


def test_boost_and_bury_move_an_item_inside_its_tier() -> None:
    """Alice sees pot, mug, cup first: the order changes, and nothing is dropped."""
    plain = slate(user_key=ALICE, count=4)
    boosted = slate(rule("b", "boost", {"item_ids": ["cup"]}, factor=10), user_key=ALICE, count=4)
    assert boosted[0] == "cup"
    assert sorted(boosted) == sorted(plain)
    buried = slate(rule("b", "bury", {"item_ids": [plain[0]]}, factor=0.01), user_key=ALICE)
    assert buried[0] == plain[1]
    assert notes(rule("b", "boost", {"item_ids": ["cup"]}, factor=10), user_key=ALICE)["b"][
        "ids"
    ] == ["cup"]


def test_factors_of_several_rules_are_multiplied() -> None:
    """Twice and half is as before."""
    rules = (
        rule("a", "boost", {"item_ids": ["bulb"]}, factor=4),
        rule("b", "bury", {"item_ids": ["bulb"]}, factor=0.25),
    )
    assert slate(*rules) == slate()


def test_cap_counts_what_it_selects() -> None:
    """One of the kitchen; two of each category; one of each brand."""
    kitchen = rule("c", "cap", {"categories": ["Home > Kitchen"]}, max_items=1, per="selection")
    assert slate(kitchen) == ["rose", "mug", "lamp", "spade"]
    assert slate(rule("c", "cap", max_items=1, per="brand"), count=9) == [
        "rose",
        "mug",
        "lamp",
        "pan",
        "köpek",
    ]
    assert slate(rule("c", "cap", max_items=1, per="category"), count=3) == ["rose", "mug", "lamp"]


def test_rule_does_nothing_outside_its_schedule() -> None:
    """From its start to just before its end, by the clock of its time zone."""
    when = {"starts_at": "1972-09-27T04:00:00", "ends_at": "1972-09-27T05:00:00"}
    hide = rule("h", "hide", {"item_ids": ["rose"]}, **when, time_zone="Asia/Dubai")
    assert TRAINED_MS == 1_000 * DAY_MS  # midnight of 27 September 1972, four o'clock in Dubai
    assert "rose" in slate(hide, now_ms=TRAINED_MS - 1)
    assert "rose" not in slate(hide, now_ms=TRAINED_MS)
    assert "rose" in slate(hide, now_ms=TRAINED_MS + 3_600_000)


def test_rule_is_for_its_audience() -> None:
    """The context decides, and segments do."""
    asks = {"op": "equals", "attribute": "country", "value": "AE"}
    hide = rule("h", "hide", {"item_ids": ["rose"]}, audience=asks)
    assert "rose" in slate(hide)
    assert "rose" not in slate(hide, context=Context(country="AE"))
    regular = rule(
        "h",
        "hide",
        {"item_ids": ["mug"]},
        audience={"op": "segment", "segment": "value:regular"},
    )
    assert "mug" in slate(regular)
    assert "mug" not in slate(regular, user_key=ALICE)


def test_rule_is_for_its_placements_recipes_and_variants() -> None:
    """A rule for another place does nothing here."""
    select = {"item_ids": ["rose"]}
    assert "rose" not in slate(rule("h", "hide", select, placements=["recs"]))
    assert "rose" in slate(rule("h", "hide", select, placements=["other"]))
    assert "rose" in slate(rule("h", "hide", select, recipes=["trending"]))
    assert "rose" not in slate(rule("h", "hide", select, recipes=["for_you"]))
    assert "rose" in slate(rule("h", "hide", select, variants=["personal"]))
    everyone = Rollout(key="recs", share=1.0)
    assert "rose" not in slate(
        rule("h", "hide", select, variants=["personal"]), everyone, user_key="u"
    )
    assert "rose" in slate(rule("h", "hide", select, enabled=False))


def test_control_obeys_rules_unless_they_say_otherwise() -> None:
    """Pins and hides stand in the static list too; `in_control` false leaves it as written."""
    nobody = Rollout(key="recs", share=0.0)
    placement = items_placement(static_ids=["pot", "spade", "cup"])

    def control(*rules: Rule) -> list[str]:
        shelf = make_shelf(placement, nobody, *rules)
        [page] = decide(shelf, make_visit(shelf, user_key="u"), "recs")
        return items_of(page)

    assert control(pin("p", 1, "lamp")) == ["lamp", "pot", "spade"]
    assert control(rule("h", "hide", {"item_ids": ["pot"]})) == ["spade", "cup", "rose"]
    written = ["pot", "spade", "cup"]
    assert control(pin("p", 1, "lamp", in_control=False)) == written
    assert control(rule("h", "hide", {"item_ids": ["pot"]}, in_control=False)) == written
    assert control(rule("b", "boost", {"item_ids": ["cup"]}, factor=9)) == written


def test_slate_of_pins_alone_is_no_failure() -> None:
    """The recipe was not asked, so nothing degraded."""
    shelf = make_shelf(items_placement(count=1), pin("p", 1, "lamp"))
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    assert items_of(page) == ["lamp"]
    assert (page.slate.tier, page.slate.degraded) == ("static", None)


def test_pin_without_a_model_is_an_id() -> None:
    """What only the rule knows stands there, as on a static list; a hide works on ids too."""
    rules = [pin("p", 1, "x"), rule("h", "hide", {"item_ids": ["y"]})]
    shelf = make_shelf(items_placement(static_ids=["y", "z"]), *rules, snapshot=None)
    [page] = decide(shelf, make_visit(shelf), "recs")
    assert items_of(page) == ["x", "z"]


def test_remembered_slate_is_not_shown_to_whom_other_rules_act_on() -> None:
    """Strangers share a memory; its key says which rules acted."""
    asks = {"op": "equals", "attribute": "channel", "value": "app"}
    shelf = make_shelf(items_placement(), pin("p", 1, "bulb", audience=asks))
    for _ in range(2):
        [web] = decide(shelf, make_visit(shelf), "recs")
        [app] = decide(shelf, make_visit(shelf, context=Context(channel="app")), "recs")
        assert (items_of(web)[0], items_of(app)[0]) == ("rose", "bulb")


def banner(banner_id: str, **fields: Any) -> Banner:
    """Make a banner."""
    made = {"id": banner_id, "title": banner_id, "image_url": "/i", "link_url": "/l", **fields}
    return msgspec.convert(made, Banner)


def show_banners(*documents: Document, **visit: Any) -> list[str]:
    """Show two banners."""
    hero = items_placement("hero", kind="banners", count=2)
    shelf = make_shelf(hero, *documents)
    [page] = decide(shelf, make_visit(shelf, **visit), "hero")
    assert isinstance(page.slate, BannerSlate)
    return banners_of(page)


def test_rules_of_banners_pin_hide_boost_and_bury() -> None:
    """By weight a, b, c; every rule changes the two that stand."""
    three = banner("a", weight=3), banner("b", weight=2), banner("c")
    about = {"banner_ids": ["c"]}
    assert show_banners(*three) == ["a", "b"]
    assert show_banners(*three, rule("p", "pin", about, position=1)) == ["c", "a"]
    assert show_banners(*three, rule("b", "boost", about, factor=2.5)) == ["a", "c"]
    assert show_banners(*three, rule("h", "hide", {"banner_ids": ["a"]})) == ["b", "c"]
    assert show_banners(*three, rule("b", "bury", {"banner_ids": ["a"]}, factor=0.1)) == ["b", "c"]
    assert show_banners(*three, rule("h", "hide", {"item_ids": ["mug"]})) == ["a", "b"]


def test_pin_of_a_banner_that_may_not_stand_is_skipped() -> None:
    """Not before its start, and not for another audience."""
    late = banner("late", starts_at="2100-01-01T00:00:00Z")
    asks = {"op": "equals", "attribute": "country", "value": "AE"}
    there = banner("there", audience=asks)
    put = rule("p", "pin", {"banner_ids": ["late", "there"]}, position=1)
    assert show_banners(banner("a", weight=5), late, there, put) == ["a"]
    in_dubai = Context(country="AE")
    assert show_banners(banner("a", weight=5), late, there, put, context=in_dubai) == ["there", "a"]


def test_banner_is_for_its_audience() -> None:
    """Whom the audience leaves out sees the next one."""
    asks = {"op": "segment", "segment": "value:regular"}
    both = banner("regulars", weight=9, audience=asks), banner("all")
    assert show_banners(*both) == ["all"]
    assert show_banners(*both, user_key=ALICE) == ["regulars", "all"]


def test_pin_leaves_exploration_exact() -> None:
    """The other positions are drawn as before, and what is pinned is never explored away."""
    placement = items_placement(explore_share=0.5)
    shelf = make_shelf(placement, pin("p", 2, "bulb"))
    for unit in range(50):
        [page] = decide(shelf, make_visit(shelf, anonymous_key=f"a{unit}"), "recs")
        assert page.exposure.shown[1].id == "bulb"
        assert [one.propensity for one in page.exposure.shown if one.source != "pin"]
        assert all(one.propensity in {0.5, 0.25} for one in page.exposure.shown if one.id != "bulb")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"action": "pin", "select": {"item_ids": ["a"]}}, "a pin needs position"),
        ({"action": "hide", "select": {}}, "would be about every item"),
        ({"action": "hide", "select": {"item_ids": ["a"]}, "factor": 2}, "a hide has no factor"),
        ({"action": "boost", "select": {"item_ids": ["a"]}, "factor": 0.5}, "is not above 1"),
        ({"action": "bury", "select": {"item_ids": ["a"]}, "factor": 2}, "is not below 1"),
        ({"action": "cap", "max_items": 2}, "a cap needs per"),
        ({"action": "hide", "select": {"item_ids": ["a", "a"]}}, "holds 'a' twice"),
        (
            {"action": "hide", "select": {"item_ids": ["a"], "banner_ids": ["b"]}},
            "make a rule for each",
        ),
        (
            {"action": "hide", "select": {"price_at_least": 2, "price_below": 2}},
            "is not above price_at_least",
        ),
        (
            {
                "action": "hide",
                "select": {"item_ids": ["a"]},
                "starts_at": "2026-01-01T00:00:00",
            },
            "has no offset",
        ),
    ],
)
def test_rule_that_cannot_be_meant_is_refused(fields: dict[str, Any], sentence: str) -> None:
    """The refusal says what is missing or too much."""
    with pytest.raises(msgspec.ValidationError, match=sentence):
        msgspec.convert(fields, Rule)
