"""Layers, prerequisites and values of flags as fields of a rollout's form, and back."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.console.form import Form, FormError
from service.console.held_out import count_held_out
from service.console.layer_form import LayerView
from service.console.prerequisite_form import prerequisite_choices
from service.console.rollout_form import fields_of, overlaid, patch_from
from service.console.value_form import read_value
from service.control.merge_patch import merge_patch
from service.control.slots import SlotUse
from service.rollouts.bucketing import bucket
from service.rollouts.definition import Rollout
from service.rollouts.layer import Holdout, Layer
from service.stores.known_visitors import KnownVisitor

NEXT_WEEK = datetime(2026, 1, 22, tzinfo=UTC)
USE = (
    SlotUse(first=0, last=9, rollout="mine"),
    SlotUse(first=10, last=39, rollout="sale"),
    SlotUse(first=40, last=49, rollout="old", rests_until=NEXT_WEEK),
    SlotUse(first=50, last=54, rollout="mine", rests_until=NEXT_WEEK),
)
HOME = LayerView(Layer(key="home", n_slots=100), USE)
LAYERS = {"home": HOME, "mail": LayerView(Layer(key="mail", n_slots=10), ())}
MINE = {"key": "mine", "share": 0.5, "layer": {"key": "home", "slots": [[0, 9]]}}
FLAG = {
    "key": "flag",
    "share": 0.5,
    "value_type": "object",
    "variants": [{"key": "a", "value": {"n": 1}}, {"key": "b", "value": {"n": 2}}],
    "control_value": {"n": 0, "old": True},
}


def rollout(document: dict[str, Any], **changes: Any) -> Rollout:
    """Make a rollout."""
    return msgspec.convert({**document, **changes}, Rollout)


def typed(base: Rollout, **fields: Any) -> Form:
    """Fill the form in as it was drawn, but for some fields."""
    changed = {
        name: (value,) if isinstance(value, str) else tuple(value) for name, value in fields.items()
    }
    return Form({**fields_of(base, LAYERS), **changed}, {})


def saved(base: Rollout, **fields: Any) -> Rollout:
    """Return the rollout as the form would leave it."""
    patch = patch_from(typed(base, **fields), base, LAYERS)
    return msgspec.convert(merge_patch(msgspec.to_builtins(base), patch), Rollout)


def test_view_says_who_has_how_much() -> None:
    """The largest part first, what rests last; free is what nobody has."""
    assert [(one.rollout, one.n_slots) for one in HOME.parts] == [
        ("sale", 30),
        ("mine", 10),
        ("old", 10),
        ("mine", 5),
    ]
    assert HOME.free_share == 0.45
    assert HOME.is_owned
    assert (HOME.free("mine")[0], len(HOME.free("mine"))) == (50, 50)
    assert HOME.stretches[1].begin == pytest.approx(0.1)
    assert HOME.stretches[2].rests


@pytest.mark.parametrize("document", [MINE, FLAG, {"key": "plain", "share": 0.1}])
def test_untouched_form_changes_nothing(document: dict[str, Any]) -> None:
    """Whatever the rollout has."""
    base = rollout(document)
    assert patch_from(typed(base), base, LAYERS) == {}


def test_share_of_a_layer_keeps_what_is_owned() -> None:
    """More adds free slots, and first those that it gave back; less gives the last ones back."""
    base = rollout(MINE)
    more = saved(base, layer_share="20").layer
    assert more is not None
    assert more.slots == ((0, 9), (50, 59))
    less = saved(base, layer_share="4").layer
    assert less is not None
    assert less.slots == ((0, 3),)
    other = saved(base, layer="mail", layer_share="30").layer
    assert other is not None
    assert (other.key, other.slots) == ("mail", ((0, 2),))
    assert saved(base, layer="").layer is None


def test_slots_may_be_typed() -> None:
    """As ranges; they go before the share."""
    found = saved(rollout(MINE), layer_slots="0-4, 60 to 61, 70").layer
    assert found is not None
    assert found.slots == ((0, 4), (60, 61), (70, 70))


@pytest.mark.parametrize(
    ("fields", "field", "rule"),
    [
        ({"layer_share": "70"}, "layer_share", "only 60 % of this layer can be had"),
        ({"layer_share": "0"}, "layer_share", "write from 1 to 100"),
        ({"layer_share": "x"}, "layer_share", "is not a number"),
        ({"layer": "gone"}, "layer", "not there any more"),
        ({"layer_slots": "1-"}, "layer_slots", "write ranges as"),
    ],
)
def test_layer_that_cannot_be_is_told_beside_its_field(
    fields: dict[str, str], field: str, rule: str
) -> None:
    """With what would be possible."""
    base = rollout(MINE)
    with pytest.raises(FormError, match=rule) as refused:
        patch_from(typed(base, **fields), base, LAYERS)
    assert refused.value.field == field


def test_prerequisites_are_choices() -> None:
    """Two variants of one rollout are alternatives; its own are not offered."""
    base = rollout(MINE, prerequisites=[{"rollout": "sale", "variants": ["a"]}])
    assert fields_of(base)["prerequisite"] == ("sale a",)
    after = saved(base, prerequisite=("sale a", "", "sale control", "text b", "text b"))
    assert [(one.rollout, one.variants) for one in after.prerequisites] == [
        ("sale", ("a", "control")),
        ("text", ("b",)),
    ]
    assert saved(base, prerequisite=("",)).prerequisites == ()
    offered = prerequisite_choices(base, [base, rollout(FLAG)])
    assert offered == [
        ("flag", [(f"flag {one}", f"flag is {one}") for one in ("a", "b", "control")])
    ]


def test_values_follow_their_type() -> None:
    """From JSON to numbers, of every variant and of control; without a type none is left."""
    base = rollout(FLAG)
    numbers = saved(base, value_type="float", variant_value=("1", "2,5"), control_value="0")
    assert [one.value for one in numbers.variants] == [1.0, 2.5]
    assert (numbers.value_type, numbers.control_value) == ("float", 0.0)
    bare = saved(base, value_type="")
    assert (bare.value_type, bare.control_value) == (None, msgspec.UNSET)
    assert {one.value for one in bare.variants} == {msgspec.UNSET}
    other = saved(base, control_value='{"n": 5}')
    assert other.control_value == {"n": 5}
    assert saved(base, control_value="").control_value is msgspec.UNSET


@pytest.mark.parametrize(
    ("text", "value_type", "value"),
    [
        ("true", "boolean", True),
        ("no", "boolean", False),
        ("", "string", ""),
        ("12", "integer", 12),
        ("2,5", "float", 2.5),
        ('{"a": []}', "object", {"a": []}),
    ],
)
def test_value_is_read_as_its_type(text: str, value_type: Any, value: object) -> None:
    """As people write it."""
    found = read_value(text, value_type, "value")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value_type", "rule"),
    [
        ("perhaps", "boolean", "neither yes nor no"),
        ("", "boolean", "neither yes nor no"),
        ("1.5", "integer", "no whole number"),
        ("99999999999999999999", "integer", "no whole number"),
        ("inf", "float", "no number"),
        ("[1]", "object", "no JSON object; it begins with {"),
        ("{", "object", "this is not JSON"),
    ],
)
def test_value_of_another_type_is_refused(text: str, value_type: Any, rule: str) -> None:
    """Beside its field, with how to write it."""
    with pytest.raises(FormError, match=rule) as refused:
        read_value(text, value_type, "variant_value_2")
    assert refused.value.field == "variant_value_2"


def test_text_that_was_not_touched_is_kept_to_the_letter() -> None:
    """A form loses the space around it; the value does not."""
    base = rollout(
        {"share": 0.1, "value_type": "string", "variants": [{"key": "a", "value": " x "}]}
    )
    assert saved(base, variant_weight="3").variants[0].value == " x "


def test_values_of_two_editors_meet() -> None:
    """Of the state of now what was not typed, and what was."""
    base = rollout(FLAG)
    now = rollout(FLAG, name="Named meanwhile")
    fields = overlaid(now, typed(base, control_value='{"n": 9}'), base, LAYERS)
    assert (fields["name"], fields["control_value"]) == (("Named meanwhile",), ('{"n": 9}',))


def test_held_out_people_are_counted_once() -> None:
    """By the same bucket as rollouts ask; a unit as it was last seen."""

    def visitor(name: int, country: str | None) -> KnownVisitor:
        return KnownVisitor("user_id", f"u{name}", f"u{name}", None, country, None, "web")

    visitors = [visitor(n, "AE" if n % 2 else None) for n in range(200)]
    found = count_held_out([*visitors, visitor(3, "SA")], Holdout(share=0.1), 300_000)
    places = [bucket("holdout", "global", "user_id", f"u{n}") for n in range(200)]
    assert found.all.n_units == 200
    assert found.all.n_now == sum(place < 100_000 for place in places)
    assert found.all.n_then == sum(place < 300_000 for place in places)
    assert {(one.name, one.n_units) for one in found.groups} == {
        ("country AE", 100),
        ("country unknown", 100),
        ("platform web", 200),
        ("channel unknown", 200),
    }
    assert count_held_out([], Holdout(share=0.1), 0).all.n_units == 0
