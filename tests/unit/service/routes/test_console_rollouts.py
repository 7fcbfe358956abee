"""Rollouts in the console: shares, kills, editors who meet, four eyes, the way back."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.service.routes.console_shop import Visitor
from tests.unit.service.routes.samples import Shop, csv_lines

PAGE = "/console/rollouts/r"


@pytest.fixture
def ann(shop: Shop) -> Iterator[Visitor]:
    """Sign a merchandiser in, to a shop with a rollout at 10 %."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1})
    shop.call("PUT", "/v1/placements/r", json={"kind": "items"})
    return Visitor(shop)  # type: ignore[return-value]  # nothing to end


def stored(visitor: Visitor) -> Any:
    """Read the rollout."""
    return visitor.shop.call("GET", "/v1/rollouts/r").json()


def revision(visitor: Visitor) -> int:
    """Read its revision."""
    found: int = stored(visitor)["revision"]
    return found


def test_share_is_moved_by_who_signed_in(ann: Visitor) -> None:
    """The page says so once, and the trail says who."""
    moved = ann.post(f"{PAGE}/share", share="12.5", revision=revision(ann))
    assert (moved.status_code, moved.headers["location"]) == (303, PAGE)
    assert stored(ann)["share"] == 0.125
    assert "r treats 12.5 % of its units now." in ann.get(PAGE).text
    assert "treats 12.5 % of its units now." not in ann.get("/console/rollouts/new").text
    [change, *_] = ann.shop.call("GET", "/v1/rollouts/r/history").json()["changes"]
    assert ann.shop.services.console.key_names.of(change["actor"]) == "merchandiser"


def test_jump_asks_first(ann: Visitor) -> None:
    """Six times the share is not moved without a yes, and is with it."""
    asked = ann.post(f"{PAGE}/share", share="60", revision=revision(ann))
    assert asked.status_code == 409
    assert "6 times the 10 % of now" in asked.text
    assert "preview-change" not in asked.text
    assert stored(ann)["share"] == 0.1
    ann.post(f"{PAGE}/share", share="60", revision=revision(ann), confirm="1")
    assert stored(ann)["share"] == 0.6


@pytest.mark.parametrize("typed", ["", "much", "150", "-1"])
def test_share_that_is_none_stands_with_what_was_typed(ann: Visitor, typed: str) -> None:
    """Beside the field."""
    refused = ann.post(f"{PAGE}/share", share=typed, revision=revision(ann))
    assert refused.status_code == 400
    assert 'id="e-share"' in refused.text
    assert f'value="{typed}"' in refused.text
    assert stored(ann)["share"] == 0.1


@pytest.mark.parametrize("typed", ["-5", "100.5"])
@pytest.mark.parametrize(
    "path",
    [f"{PAGE}/share", f"{PAGE}/preview", "/console/rollouts/new", "/console/holdout/save"],
)
def test_share_out_of_range_is_told_in_percent(ann: Visitor, path: str, typed: str) -> None:
    """As it was typed, beside the field; no type, and no bound of 0 to 1."""
    told = ann.post(path, share=typed, key="k", unit="user_id", revision=revision(ann)).text
    assert f"Share: {typed} % is not between 0 and 100 %" in told
    assert "Expected" not in told


def test_preview_moves_nothing(ann: Visitor) -> None:
    """A part of a page for the script, a whole one without it."""
    part = ann.post(f"{PAGE}/preview", part=True, share="50")
    assert (part.status_code, "<html" in part.text) == (200, False)
    assert "Nobody was seen in the last 30 days" in part.text
    whole = ann.post(f"{PAGE}/preview", share="50")
    assert (whole.status_code, "<html" in whole.text) == (200, True)
    assert 'value="50"' in whole.text
    wrong = ann.post(f"{PAGE}/preview", part=True, share="x")
    assert "is not a number" in wrong.text
    assert stored(ann)["share"] == 0.1


def test_second_editor_sees_what_changed_and_applies_theirs(ann: Visitor) -> None:
    """Who, from what to what; the same form again changes the state of now."""
    seen = revision(ann)
    ann.shop.call("PATCH", "/v1/rollouts/r", json={"share": 0.2})
    late = ann.post(f"{PAGE}/share", share="30", revision=seen)
    assert late.status_code == 409
    assert "admin changed this while you were editing" in late.text
    assert "<del>10 %</del>" in late.text
    assert "<ins>20 %</ins>" in late.text
    assert 'value="30"' in late.text
    again = re.search(r'name="revision" value="(\d+)"', late.text)
    assert again is not None
    assert int(again[1]) == revision(ann)
    ann.post(f"{PAGE}/share", share="30", revision=again[1])
    assert stored(ann)["share"] == 0.3


def test_kill_and_resume(ann: Visitor) -> None:
    """One post each, no question; the buttons change places."""
    assert ann.post(f"{PAGE}/kill").status_code == 303
    assert stored(ann)["killed"] is True
    page = ann.get(PAGE).text
    assert f'action="{PAGE}/resume"' in page
    assert f'action="{PAGE}/kill"' not in page
    ann.post(f"{PAGE}/resume")
    assert stored(ann)["killed"] is False


def test_undo_goes_back(ann: Visitor) -> None:
    """To the share of a revision; a jump back asks first."""
    first = revision(ann)
    ann.post(f"{PAGE}/share", share="1", revision=first)
    asked = ann.post(f"{PAGE}/undo", revision=first)
    assert (asked.status_code, "Go back all the same?" in asked.text) == (409, True)
    ann.post(f"{PAGE}/undo", revision=first, confirm="1")
    assert stored(ann)["share"] == 0.1
    gone = ann.post(f"{PAGE}/undo", revision="1")
    assert (gone.status_code, "did not exist at revision 1" in gone.text) == (409, True)


def test_form_saves_what_was_changed(ann: Visitor) -> None:
    """The rest is left as others made it meanwhile, once the editor has seen it."""
    seen = revision(ann)
    form: dict[str, Any] = {
        "revision": seen,
        "enabled": "1",
        "unit": "user_id",
        "variant_key": ["personal", "bold"],
        "variant_weight": ["1", "1"],
        "variant_recipe": ["", "trending"],
        "holdout": "1",
    }
    ann.shop.call("PATCH", "/v1/rollouts/r", json={"name": "Named meanwhile"})
    late = ann.post(f"{PAGE}/edit", **form)
    assert (late.status_code, "Named meanwhile" in late.text, "bold" in late.text) == (
        409,
        True,
        True,
    )
    saved = ann.post(
        f"{PAGE}/edit", **{**form, "revision": revision(ann), "name": "Named meanwhile"}
    )
    assert saved.headers["location"] == PAGE
    after = stored(ann)
    assert (after["name"], [one["key"] for one in after["variants"]]) == (
        "Named meanwhile",
        ["personal", "bold"],
    )
    untouched = ann.post(
        f"{PAGE}/edit", **{**form, "revision": revision(ann), "name": "Named meanwhile"}
    )
    assert untouched.status_code == 303
    assert revision(ann) == after["revision"]


def test_form_that_breaks_a_rule_keeps_what_was_typed(ann: Visitor) -> None:
    """A variant called control is told beside the variants."""
    form: dict[str, Any] = {
        "revision": revision(ann),
        "enabled": "1",
        "unit": "user_id",
        "holdout": "1",
    }
    refused = ann.post(f"{PAGE}/edit", **form, variant_key="control", variant_weight="1")
    assert refused.status_code == 400
    assert "name a treatment otherwise" in refused.text
    assert 'value="control"' in refused.text


def test_whole_document_as_json(ann: Visitor) -> None:
    """Shown, refused with the place of the mistake, and replaced."""
    assert "&#34;share&#34;: 0.1" in ann.get(f"{PAGE}/json").text
    wrong = ann.post(f"{PAGE}/json", revision=revision(ann), document='{"share": 2}')
    assert (wrong.status_code, "share: a number at most 1 is wanted" in wrong.text) == (400, True)
    ann.post(f"{PAGE}/json", revision=revision(ann), document='{"share": 0.2, "name": "N"}')
    assert (stored(ann)["share"], stored(ann)["name"]) == (0.2, "N")


def test_share_that_was_refused_still_meets_the_other_editor(ann: Visitor) -> None:
    """Mended, or only looked at without script, it is not moved from where nobody saw it."""
    seen = revision(ann)
    ann.shop.call("PATCH", "/v1/rollouts/r", json={"share": 0.2})
    refused = ann.post(f"{PAGE}/share", share="x", revision=seen)
    shown = ann.post(f"{PAGE}/preview", share="30", revision=seen)
    for page in (refused.text, shown.text):
        assert f'name="revision" value="{seen}"' in page.partition('id="share-form"')[2][:900]
    late = ann.post(f"{PAGE}/share", share="30", revision=seen)
    assert (late.status_code, stored(ann)["share"]) == (409, 0.2)


def test_json_that_was_refused_still_meets_the_other_editor(ann: Visitor) -> None:
    """Mended and sent again, it does not replace what somebody has saved meanwhile."""
    seen = revision(ann)
    ann.shop.call("PATCH", "/v1/rollouts/r", json={"name": "Theirs"})
    refused = ann.post(f"{PAGE}/json", revision=seen, document="{")
    assert (refused.status_code, f'name="revision" value="{seen}"' in refused.text) == (400, True)
    late = ann.post(f"{PAGE}/json", revision=seen, document='{"share": 0.2}')
    assert (late.status_code, stored(ann)["name"]) == (409, "Theirs")


def test_four_eyes(ann: Visitor) -> None:
    """Who proposed sees that it waits; another key approves; a kill needs nobody."""
    ann.post(f"{PAGE}/json", revision=revision(ann), document='{"share": 0.1, "approval": true}')
    ann.post(f"{PAGE}/share", share="20", revision=revision(ann))
    page = ann.get(PAGE).text
    assert "Nothing changes until another key approves it" in page
    found = re.search(r"/proposals/(\d+)/reject", page)
    assert found is not None
    assert "/approve" not in page
    assert "<del>10 %</del>" in page
    assert "<ins>20 %</ins>" in page
    assert ann.post(f"{PAGE}/proposals/{found[1]}/approve").status_code == 409
    assert stored(ann)["share"] == 0.1
    bob = Visitor(ann.shop, "admin")
    assert "waits for a second pair of eyes" in bob.get("/console").text
    assert bob.post(f"{PAGE}/proposals/{found[1]}/approve").status_code == 303
    assert stored(ann)["share"] == 0.2
    for shown in (bob.get(PAGE).text, bob.get("/console").text):
        assert "share 10 % → 20 %, proposed by merchandiser" in shown
        assert "key_" not in shown
    bob.post(f"{PAGE}/kill")
    assert stored(ann)["killed"] is True
    bob.post(f"{PAGE}/resume")
    assert stored(ann)["killed"] is True


def test_new_rollout_is_made_once(ann: Visitor) -> None:
    """A key that is taken, or none, is told with what was typed."""
    made = ann.post(
        "/console/rollouts/new", key="new one", share="5", variant="bold", unit="user_id"
    )
    assert made.status_code in (303, 400)
    made = ann.post("/console/rollouts/new", key="fresh", share="5", variant="bold", unit="user_id")
    assert made.headers["location"] == "/console/rollouts/fresh"
    assert ann.shop.call("GET", "/v1/rollouts/fresh").json()["variants"][0]["key"] == "bold"
    again = ann.post("/console/rollouts/new", key="fresh", share="5", unit="user_id")
    assert (again.status_code, "is taken; choose another key" in again.text) == (
        400,
        True,
    )
    none = ann.post("/console/rollouts/new", key="", share="5")
    assert (none.status_code, 'id="e-key"' in none.text) == (400, True)


def test_delete_keeps_the_history(ann: Visitor) -> None:
    """And leads to the list."""
    gone = ann.post(f"{PAGE}/delete", revision=revision(ann))
    assert gone.headers["location"] == "/console/rollouts"
    assert ann.get(PAGE).status_code == 404


@pytest.mark.parametrize("scope", ["trainer", "support"])
def test_other_scopes_neither_see_nor_reach_rollouts(shop: Shop, scope: str) -> None:
    """Not in the menu, not by address, not by a form."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1})
    eve = Visitor(shop, scope)
    overview = eve.get("/console")
    assert (overview.status_code, "/console/rollouts" in overview.text) == (200, False)
    refused = eve.get(PAGE)
    assert (refused.status_code, "You may not do this" in refused.text) == (403, True)
    assert eve.post(f"{PAGE}/kill").status_code == 403


def test_page_says_when_and_how_far_with_units(ann: Visitor) -> None:
    """A moment with an offset on the clock that is named, half an hour, 0.05 %."""
    document = {
        "share": 0.1,
        "starts_at": "2020-12-24T18:00:00+04:00",
        "audience": {"op": "before", "at": "2099-01-01T03:00:00+04:00"},
        "ramp": {
            "steps": [{"share": 0.1, "min_hours": 0.5}, {"share": 0.2, "min_hours": 1.5}],
            "guardrails": [
                {"type": "outcome", "metric": "conversion", "max_drop": 0.0025},
                {"type": "errors", "max_share": 0.0005},
            ],
        },
    }
    ann.shop.call("PUT", "/v1/rollouts/r", json=document)
    page = ann.get(PAGE).text
    assert "from 2020-12-24 14:00 UTC" in page
    assert "now is before 2098-12-31 23:00 UTC" in page
    assert ">0.5 h<" in page
    assert ">1.5 h<" in page
    assert "conversion surely drops by more than 0.25 %" in page
    assert "more than 0.05 % of the requests fail" in page


def test_pages_and_files_are_there(ann: Visitor) -> None:
    """The list, the forms, the tables behind the pictures."""
    for path in ("/console", "/console/rollouts", "/console/rollouts/new", PAGE, f"{PAGE}/edit"):
        assert ann.get(path).status_code == 200
    for path in ("/console/traffic.csv", f"{PAGE}/lift.csv", f"{PAGE}/metrics.csv"):
        file = ann.get(path)
        assert file.headers["content-type"].startswith("text/csv")
        assert csv_lines(file)[0].count(",") > 3
    lift = ann.get(f"{PAGE}/lift.csv")
    assert lift.headers["content-disposition"] == 'attachment; filename="r-lift.csv"'
    assert csv_lines(lift)[0].startswith("Epoch,From (UTC),Until (UTC),Variant,")
    over_time = csv_lines(ann.get(f"{PAGE}/lift-over-time.csv"))
    assert over_time[0].startswith("At (UTC),Variant,")
    assert ann.get("/console/rollouts/none").status_code == 404


def bring_back(visitor: Visitor) -> Any:
    """Press the button in the list."""
    shown = visitor.get("/console/rollouts").text
    found = re.search(r'action="([^"]+/undo)".*?name="revision" value="(\d+)"', shown, re.DOTALL)
    assert found is not None
    return visitor.post(found[1], revision=found[2])


def test_deleted_rollout_is_brought_back(ann: Visitor) -> None:
    """From the list it is gone from, as it was; one that was killed stays so."""
    before = stored(ann)
    assert "Bring it back" not in ann.get("/console/rollouts").text
    ann.post(f"{PAGE}/kill")
    ann.post(f"{PAGE}/delete", revision=revision(ann))
    assert ann.get(PAGE).status_code == 404
    answer = bring_back(ann)
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    after = stored(ann)
    changed = {name for name in after if after[name] != before[name]}
    assert (after["killed"], changed - {"killed", "revision", "epoch"}) == (True, set())
    assert "Bring it back" not in ann.get("/console/rollouts").text


def test_deleted_rollout_whose_part_is_taken_says_so(ann: Visitor) -> None:
    """It has no page that could say it."""
    ann.shop.call("PUT", "/v1/layers/l", json={"n_slots": 10, "rest_days": 0})
    part = {"share": 0.1, "layer": {"key": "l", "slots": [[0, 9]]}}
    ann.shop.call("PATCH", "/v1/rollouts/r", json=part)
    ann.post(f"{PAGE}/delete", revision=revision(ann))
    assert ann.shop.call("PUT", "/v1/rollouts/s", json=part).status_code < 300
    answer = bring_back(ann)
    assert answer.status_code == 409
    assert "belong to rollout" in answer.text
    assert "not configured" not in answer.text


def test_form_of_a_deleted_rollout_keeps_what_was_typed(ann: Visitor) -> None:
    """In the form and in the JSON; nothing is made again."""
    revision = ann.shop.call("PUT", "/v1/rollouts/gone", json={"share": 0.1}).json()["revision"]
    ann.shop.call("DELETE", "/v1/rollouts/gone")
    edited = ann.post("/console/rollouts/gone/edit", revision=str(revision), name="Typed name")
    written = ann.post(
        "/console/rollouts/gone/json", revision=str(revision), document='{"share": 0.7654}'
    )
    for answer, typed in ((edited, "Typed name"), (written, "0.7654")):
        assert answer.status_code == 409
        assert "Somebody deleted this rollout" in answer.text
        assert typed in answer.text
    assert ann.shop.call("GET", "/v1/rollouts/gone").status_code == 404
