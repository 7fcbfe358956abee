"""Forms of rules, placements and banners: what was stored comes back as it was."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.console.audience_form import read_audience, show_audience
from service.console.banner_form import read_banner, show_banner
from service.console.form import Form, FormError, words
from service.console.placement_form import read_placement, show_placement, typed_placement
from service.console.rule_form import about_in_words, does_in_words, read_rule, show_rule
from service.console.schedule_form import (
    read_schedule,
    schedule_words,
    show_schedule,
    state_of,
)
from service.control.documents import Banner, Placement
from service.control.rule import Rule
from service.rollouts.conditions import Condition
from service.rollouts.schedule import schedule_ms


def sent(fields: dict[str, Any]) -> Form:
    """Send a form as a browser does: boxes only if ticked, the rows of an audience apart."""
    values: dict[str, tuple[str, ...]] = {}
    for name, value in fields.items():
        if name == "audience":
            rows = value.rows
            values["audience_attribute"] = tuple(row.attribute for row in rows)
            values["audience_verb"] = tuple(row.verb for row in rows)
            values["audience_values"] = tuple(row.values for row in rows)
            values["audience_json"] = (value.json,)
        elif isinstance(value, list):
            values[name] = tuple(value)
        elif isinstance(value, bool):
            if value:
                values[name] = ("1",)
        else:
            values[name] = (value,)
    return Form(values, {})


RULES: list[dict[str, Any]] = [
    {"action": "pin", "position": 3, "select": {"item_ids": ["a", "ö b"]}, "name": "First"},
    {"action": "boost", "factor": 2.5, "select": {"brands": ["Acme"], "price_at_least": 1.5}},
    {"action": "bury", "factor": 0.25, "select": {"categories": ["A > B"]}, "priority": -3},
    {"action": "hide", "select": {"banner_ids": ["x"]}, "enabled": False, "in_control": False},
    {"action": "cap", "max_items": 2, "per": "category", "recipes": ["for_you"]},
    {
        "action": "hide",
        "select": {"new_for_days": 7, "without_interactions": True, "attributes": ["red"]},
        "placements": ["p", "q"],
        "variants": ["personal"],
        "starts_at": "2026-01-01T00:00:00",
        "ends_at": "2026-02-01T12:30:00",
        "time_zone": "Asia/Dubai",
        "audience": {
            "op": "all",
            "of": [
                {"op": "in", "attribute": "country", "values": ["AE", "SA"]},
                {"op": "not", "of": {"op": "segment", "segment": "vip"}},
            ],
        },
    },
    {
        "action": "hide",
        "select": {"item_ids": ["a"]},
        "audience": {"op": "range", "attribute": "age", "at_least": 18},
    },
    {
        "action": "bury",
        "factor": 0.3,
        "select": {"price_at_least": 1234567.89, "price_below": 20000000.5},
        "audience": {
            "op": "all",
            "of": [
                {"op": "in", "attribute": "country", "values": [f"C{number}"]}
                for number in range(25)
            ],
        },
    },
]


@pytest.mark.parametrize("document", RULES)
def test_rule_comes_back_as_it_was(document: dict[str, Any]) -> None:
    """Shown in the form and sent again without a change, it is the same rule."""
    rule = msgspec.convert({"id": "r", **document}, Rule)
    again = read_rule(sent(show_rule(rule)), rule)
    assert msgspec.structs.replace(again, id="r") == rule


def test_schedule_with_an_offset_keeps_its_moment() -> None:
    """It is shown on the clock of UTC, and named so."""
    start = datetime(2026, 3, 1, 4, tzinfo=UTC)
    shown = show_schedule(start, None, None)
    assert shown == {"starts_at": "2026-03-01T04:00", "ends_at": "", "time_zone": "UTC"}
    assert read_schedule(sent(shown)) == {
        "starts_at": "2026-03-01T04:00:00",
        "ends_at": None,
        "time_zone": "UTC",
    }
    assert show_schedule(start, None, "Asia/Dubai")["starts_at"] == "2026-03-01T08:00"


@pytest.mark.parametrize(
    ("start", "shown"),
    [
        ("2026-10-25T02:30:00+02:00", ("2026-10-25T02:30", "2026-10-26T09:00", "Europe/Berlin")),
        ("2026-10-25T02:30:00+01:00", ("2026-10-25T01:30", "2026-10-26T08:00", "UTC")),
        ("2026-10-25T02:30:00", ("2026-10-25T02:30", "2026-10-26T09:00", "Europe/Berlin")),
    ],
)
def test_schedule_in_an_hour_that_comes_twice_keeps_its_moment(
    start: str, shown: tuple[str, str, str]
) -> None:
    """In Berlin 02:30 is first 00:30 UTC, and an hour later again: that one is shown in UTC."""
    begins, ends = datetime.fromisoformat(start), datetime(2026, 10, 26, 9)
    fields = show_schedule(begins, ends, "Europe/Berlin")
    assert (fields["starts_at"], fields["ends_at"], fields["time_zone"]) == shown
    again: dict[str, Any] = {
        name: value and (value if name == "time_zone" else datetime.fromisoformat(value))
        for name, value in read_schedule(sent(fields)).items()
    }
    assert schedule_ms(**again) == schedule_ms(begins, ends, "Europe/Berlin")


@pytest.mark.parametrize(
    ("now_ms", "is_on", "word"),
    [(0, True, "scheduled"), (150, True, "live"), (200, True, "ended"), (150, False, "off")],
)
def test_state_is_a_word(now_ms: int, is_on: bool, word: str) -> None:
    """From its start to just before its end it is live."""
    start, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (100, 200))
    assert state_of(start, end, None, now_ms=now_ms, is_on=is_on)[0] == word


PLACEMENTS: list[dict[str, Any]] = [
    {"kind": "items"},
    {"kind": "banners", "recipe": "static", "static_ids": ["a"], "count": 2},
    {
        "kind": "items",
        "recipe": "trending",
        "explore_share": 0.125,
        "max_per_brand": 2,
        "only_available": False,
        "rollout": "other",
        "name": "Öne",
        "show_because": False,
        "recipes": [
            {"audience": {"op": "segment", "segment": "intent:buying"}, "recipe": "similar_items"}
        ],
    },
]


@pytest.mark.parametrize("document", PLACEMENTS)
def test_placement_comes_back_as_it_was(document: dict[str, Any]) -> None:
    """Only its recipe, where it was the default, is written out."""
    placement = msgspec.convert(document, Placement)
    fields = show_placement(placement)
    again = read_placement(sent({**fields, "recipe_banners": fields["recipe"]}))
    written = msgspec.structs.replace(placement, recipe=placement.main_recipe)
    assert again == written


def test_banner_comes_back_as_it_was() -> None:
    """With its cap, what it advertises and for whom."""
    document: dict[str, Any] = {
        "title": "Tea, please",
        "image_url": "/i",
        "link_url": "/l",
        "categories": ["Pantry > Teas"],
        "item_ids": ["a", "b"],
        "weight": 0.5,
        "cap": {"max_views": 3, "hours": 1.5},
        "audience": {"op": "equals", "attribute": "channel", "value": "web"},
    }
    banner = msgspec.convert(document, Banner)
    again = read_banner(sent(show_banner(banner)))
    wanted = {"op": "in", "attribute": "channel", "values": ["web"]}  # says the same
    assert again == msgspec.structs.replace(
        banner,
        audience=msgspec.convert(wanted, Condition),
    )


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["country", "segment", "my attribute"]),
            st.lists(
                st.from_regex(r"[A-Za-z0-9][A-Za-z0-9:]{0,7}", fullmatch=True),
                min_size=1,
                max_size=3,
            ),
            st.booleans(),
        ),
        max_size=4,
    )
)
def test_rows_of_an_audience_are_understood(rows: list[tuple[str, list[str], bool]]) -> None:
    """Whatever is typed in rows is a valid audience, and comes back in rows."""
    fields = {
        "audience_attribute": tuple(name for name, _, _ in rows),
        "audience_verb": tuple("is" if is_in else "is_not" for _, _, is_in in rows),
        "audience_values": tuple(", ".join(values) for _, values, _ in rows),
    }
    made = read_audience(Form(fields, {}))
    if not rows:
        assert made is None
        return
    audience = msgspec.convert(made, Condition)
    shown = show_audience(audience)
    assert [(row.attribute, row.verb, row.values) for row in shown.rows if row.values] == [
        (name, "is" if is_in else "is_not", ", ".join(values)) for name, values, is_in in rows
    ]


def test_audience_that_lacks_a_part_is_told() -> None:
    """A value without an attribute, an attribute without a value, JSON that is none."""
    for fields, message in (
        ({"audience_attribute": ("country",), "audience_values": ("",)}, "has no value"),
        ({"audience_attribute": ("",), "audience_values": ("AE",)}, "of what"),
        ({"audience_json": ("{",)}, "not JSON"),
    ):
        with pytest.raises(FormError, match=message):
            read_audience(Form({"audience_verb": ("is",), **fields}, {}))


def test_rules_are_told_in_words() -> None:
    """What a list of rules says of each."""
    rules = [msgspec.convert(document, Rule) for document in RULES]
    assert [does_in_words(rule) for rule in rules[:5]] == [
        "Pins to position 3",
        "Counts 2.5 times",
        "Counts 1/4",
        "Hides",
        "At most 2 of each category",
    ]
    assert [about_in_words(rule) for rule in rules[:5]] == [
        "2 items",
        "of Acme, from 1.5",
        "in A > B",
        "banner x",
        "every item",
    ]
    assert about_in_words(rules[-1]) == "from 1,234,567.89, below 20,000,000.5"
    new = msgspec.convert({"action": "hide", "select": {"new_for_days": 1}}, Rule)
    assert about_in_words(new) == "new for 1 day"
    assert words(" a, b\n c,,") == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["items", "banners"])
def test_typed_placement_keeps_the_recipe_of_its_kind(kind: str) -> None:
    """A form that is shown again, because something else in it is wrong, says what was chosen."""
    typed = sent({"kind": kind, "recipe": "trending", "recipe_banners": "static"})
    assert typed_placement(typed)["recipe"] == ("trending" if kind == "items" else "static")


def test_schedule_is_told_on_the_clock_of_its_zone() -> None:
    """Moments with an offset too: nine in Dubai is five in UTC."""
    nine = datetime.fromisoformat("2026-01-05T09:00:00+04:00")
    assert schedule_words(nine, None, None) == "from 2026-01-05 05:00 UTC"
    assert schedule_words(nine, nine, "Asia/Dubai") == (
        "from 2026-01-05 09:00 until 2026-01-05 09:00 Asia/Dubai"
    )
    assert schedule_words(None, nine.replace(tzinfo=None), "Asia/Dubai") == (
        "until 2026-01-05 09:00 Asia/Dubai"
    )
    assert schedule_words(None, None, None) == ""
