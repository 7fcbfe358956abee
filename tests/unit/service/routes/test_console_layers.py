"""Layers, the holdout, prerequisites and values in the console: who may what, and editors meet."""

import re
from typing import Any

import pytest

from tests.unit.service.routes.console_shop import Visitor
from tests.unit.service.routes.samples import Shop


@pytest.fixture
def ann(shop: Shop) -> Visitor:
    """Sign a merchandiser in, to a shop with a layer that a rollout has 30 % of."""
    shop.call("PUT", "/v1/layers/home", json={"n_slots": 100, "salt": "old salt"})
    shop.call(
        "PUT",
        "/v1/rollouts/sale",
        json={"share": 0.1, "layer": {"key": "home", "slots": [[0, 29]]}},
    )
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1})
    return Visitor(shop)


def stored(ann: Visitor, path: str) -> Any:
    """Read a document."""
    return ann.shop.call("GET", f"/v1/{path}").json()


def edit(ann: Visitor, key: str, **fields: Any) -> Any:
    """Send the form of a rollout as it is drawn, but for some fields."""
    base = stored(ann, f"rollouts/{key}")
    form = {
        "revision": base["revision"],
        "enabled": "1",
        "unit": "user_id",
        "holdout": "1",
        "variant_key": [one["key"] for one in base["variants"]],
        "variant_weight": ["1" for _ in base["variants"]],
    }
    return ann.post(f"/console/rollouts/{key}/edit", **(form | fields))


def test_layers_are_listed_with_who_has_what(ann: Visitor) -> None:
    """And the holdout above them."""
    page = ann.get("/console/layers").text
    assert "sale</a> 30 %" in page
    assert "free 70 %" in page
    assert "Nobody is held out" in page


def test_layer_is_made_changed_and_deleted(ann: Visitor) -> None:
    """A key of its name; the salt stays; one in use is neither cut anew nor deleted."""
    made = ann.post("/console/layers/save", name="Summer mail", rest_days="3", n_slots="10")
    assert made.headers["location"] == "/console/layers/summer-mail"
    assert stored(ann, "layers/summer-mail")["n_slots"] == 10
    seen = stored(ann, "layers/home")["revision"]
    ann.post("/console/layers/save", id="home", revision=seen, name="Home", rest_days="2,5")
    home = stored(ann, "layers/home")
    assert (home["name"], home["rest_days"]) == ("Home", 2.5)
    assert (home["salt"], home["n_slots"]) == ("old salt", 100)
    refused = ann.post("/console/layers/home/delete")
    assert (refused.status_code, "rollouts own slots of it" in refused.text) == (409, True)
    assert ann.post("/console/layers/summer-mail/delete").status_code == 303
    assert "summer-mail" in ann.get("/console/layers").text  # among what was deleted
    back = stored(ann, "audit?kind=layer&id=summer-mail")["changes"][-1]["revision"]
    ann.post("/console/layers/summer-mail/undo", revision=back)
    assert stored(ann, "layers/summer-mail")["name"] == "Summer mail"


def test_layer_that_breaks_a_rule_keeps_what_was_typed(ann: Visitor) -> None:
    """Beside the field; a key that is taken too."""
    wrong = ann.post("/console/layers/save", id="x", rest_days="-1", n_slots="10")
    assert (wrong.status_code, 'id="e-rest_days"' in wrong.text) == (400, True)
    taken = ann.post("/console/layers/save", id="home", rest_days="1")
    assert (taken.status_code, 'id="e-id"' in taken.text) == (400, True)


def test_second_editor_of_a_layer_sees_the_difference(ann: Visitor) -> None:
    """And may save theirs all the same."""
    seen = stored(ann, "layers/home")["revision"]
    ann.shop.call("PATCH", "/v1/layers/home", json={"rest_days": 1})
    late = ann.post("/console/layers/save", id="home", revision=seen, name="N", rest_days="9")
    assert (late.status_code, "Save mine instead" in late.text) == (412, True)


def test_rollout_gets_its_part_of_a_layer(ann: Visitor) -> None:
    """Free slots; what others have is not to be had, and slots that are theirs are refused."""
    assert edit(ann, "r", layer="home", layer_share="20").status_code == 303
    assert stored(ann, "rollouts/r")["layer"] == {"key": "home", "slots": [[30, 49]]}
    much = edit(ann, "sale", layer="home", layer_share="90", layer_slots="0-29")
    assert (much.status_code, "only 80 % of this layer" in much.text) == (400, True)
    theirs = edit(ann, "sale", layer="home", layer_share="30", layer_slots="0-35")
    assert theirs.status_code == 400
    assert 'id="e-layer_share"' in theirs.text
    assert "belong to rollout &#39;r&#39;" in theirs.text
    edit(ann, "r", layer="")
    assert stored(ann, "rollouts/r")["layer"] is None


def test_prerequisite_is_chosen(ann: Visitor) -> None:
    """From the other rollouts; a circle is told."""
    edit(ann, "r", prerequisite=["sale personal", ""])
    [one] = stored(ann, "rollouts/r")["prerequisites"]
    assert one == {"rollout": "sale", "variants": ["personal"]}
    round_again = edit(
        ann, "sale", layer="home", layer_share="30", layer_slots="0-29", prerequisite="r control"
    )
    assert (round_again.status_code, "require each other" in round_again.text) == (400, True)


def test_flag_is_made_and_edited(ann: Visitor) -> None:
    """With the field of its type; a value that is none stands beside its row."""
    asked = ann.post("/console/rollouts/new", redraw="1", key="f", share="5", value_type="boolean")
    assert (asked.status_code, 'name="control_value"' in asked.text) == (200, True)
    wrong = ann.post("/console/rollouts/new", key="f", share="5", value_type="integer", value="x")
    assert (wrong.status_code, 'id="e-value"' in wrong.text) == (400, True)
    made = ann.post(
        "/console/rollouts/new",
        key="f",
        share="5",
        value_type="boolean",
        value="true",
        control_value="false",
        unit="user_id",
        variant="on",
    )
    assert made.headers["location"] == "/console/rollouts/f"
    flag = stored(ann, "rollouts/f")
    assert (flag["variants"][0]["value"], flag["control_value"]) == (True, False)
    page = ann.get("/console/rollouts/f/edit").text
    assert re.search(r'name="variant_value"[^>]*><option value="">–</option>', page)
    redrawn = edit(ann, "f", redraw="1", value_type="integer", variant_value=["true"])
    assert (redrawn.status_code, "Saved" in redrawn.text) == (200, False)
    assert 'name="variant_value" inputmode="decimal" value="true"' in redrawn.text
    refused = edit(
        ann, "f", value_type="integer", variant_value=["true"], control_value="0", confirm="1"
    )
    assert (refused.status_code, 'id="e-variant_value_1"' in refused.text) == (400, True)
    edit(ann, "f", value_type="integer", variant_value=["7"], control_value="", confirm="1")
    after = stored(ann, "rollouts/f")
    assert (after["value_type"], after["variants"][0]["value"]) == ("integer", 7)
    assert "control_value" not in after


def test_holdout_is_set_moved_and_ended(ann: Visitor) -> None:
    """Nobody who was quicker is written over; a share that is none is told."""
    assert "Hold them out" in ann.get("/console/holdout").text
    for typed in ("much", "101", "-1"):
        wrong = ann.post("/console/holdout/save", revision="", share=typed)
        assert (wrong.status_code, 'id="e-share"' in wrong.text) == (400, True)
    ann.post("/console/holdout/save", revision="", share="5")
    first = stored(ann, "holdout")
    assert first["share"] == 0.05
    twice = ann.post("/console/holdout/save", revision="", share="7")
    assert (twice.status_code, "changed this while you were editing" in twice.text) == (412, True)
    ann.post("/console/holdout/save", revision=first["revision"], share="10")
    late = ann.post("/console/holdout/save", revision=first["revision"], share="20")
    assert late.status_code == 412
    assert 'value="20"' in late.text
    assert "<ins>10 %</ins>" in late.text
    assert stored(ann, "holdout")["share"] == 0.1
    again = re.search(r'name="revision" value="(\d+)"', late.text)
    assert again is not None
    ann.post("/console/holdout/save", revision=again[1], share="20")
    assert stored(ann, "holdout")["share"] == 0.2
    ann.post("/console/holdout/undo", revision=first["revision"])
    assert stored(ann, "holdout")["share"] == 0.05
    ann.post("/console/holdout/end")
    assert ann.shop.call("GET", "/v1/holdout").status_code == 404
    assert ann.post("/console/holdout/end").status_code == 303


def test_holdout_is_tried_before_it_is_set(ann: Visitor) -> None:
    """A part of a page for the script, a whole one without it; nothing changes."""
    part = ann.post("/console/holdout/preview", part=True, share="10")
    assert (part.status_code, "<html" in part.text) == (200, False)
    assert "Nobody was seen in the last 30 days" in part.text
    whole = ann.post("/console/holdout/preview", share="10")
    assert (whole.status_code, "<html" in whole.text) == (200, True)
    wrong = ann.post("/console/holdout/preview", part=True, share="x")
    assert "is not a number" in wrong.text
    assert ann.shop.call("GET", "/v1/holdout").status_code == 404


@pytest.mark.parametrize("path", ["/console/layers", "/console/layers/home", "/console/holdout"])
def test_other_scopes_see_neither(ann: Visitor, path: str) -> None:
    """Layers and the holdout are of merchandisers."""
    assert ann.get(path).status_code == 200
    assert Visitor(ann.shop, "support").get(path).status_code == 403


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        *((word, "is an address of the console") for word in (".", "..", "new", "preview", "save")),
        ("shop/home", "has a slash"),
        ("shop\\home", "has a slash"),
    ],
)
def test_document_without_an_address_is_not_made(ann: Visitor, typed: str, why: str) -> None:
    """Its page would be another one, so nobody could open it again."""
    layer = ann.post("/console/layers/save", id=typed, rest_days="1", n_slots="10")
    rollout = ann.post("/console/rollouts/new", key=typed, share="0")
    for answer, place in ((layer, "e-id"), (rollout, "e-key")):
        assert (answer.status_code, f'id="{place}"' in answer.text) == (400, True)
        assert why in answer.text
        assert "; choose another" in answer.text
    named = ann.post("/console/layers/save", name="New", rest_days="1", n_slots="10")
    assert named.headers["location"] == "/console/layers/new-2"


@pytest.mark.parametrize(
    "fields",
    [
        {"value_type": "object", "control_value": "[" * 100_000},
        {"audience_json": "[" * 100_000},
    ],
)
def test_json_that_is_nested_too_deeply_is_told(ann: Visitor, fields: dict[str, str]) -> None:
    """Beside the form, as what else is no JSON."""
    answer = edit(ann, "r", **fields)
    assert answer.status_code == 400
    assert "this JSON is nested too deeply; write it flatter" in answer.text


def test_layer_rests_as_long_as_it_says(ann: Visitor) -> None:
    """A day and a half is not two."""
    ann.shop.call("PUT", "/v1/layers/half", json={"rest_days": 1.5})
    ann.shop.call("PUT", "/v1/layers/one", json={"rest_days": 1})
    shown = ann.get("/console/layers").text
    assert "rests 1.5 days" in shown
    assert "rests 1 day<" in shown
