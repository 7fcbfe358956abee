"""The merchandisers' pages without a browser: without a model, with odd names, with wrong forms."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.artifact import ArtifactStore
from tests.snapshots import tiny_snapshot
from tests.unit.service.routes.console_shop import Visitor
from tests.unit.service.routes.samples import Shop, open_client

ODD = 'ö "<b>&? #1'
FIRST_DOCUMENTS: dict[str, dict[str, Any]] = {
    "placements": {"kind": "items"},
    "banners": {"title": "t", "image_url": "/i.png", "link_url": "/"},
    "rules": {"action": "hide", "select": {"item_ids": ["p"]}},
    "layers": {},
    "rollouts": {"share": 0.5},
}
SECTIONS = ("placements", "rules", "banners", "preview")


@pytest.fixture
def ann(shop: Shop) -> Visitor:
    """Sign in to a shop without a model, with one document of each kind and odd names."""
    shop.call("PUT", "/v1/placements/home", json={"kind": "items", "name": ODD, "count": 3})
    shop.call("PUT", "/v1/placements/hero", json={"kind": "banners"})
    hide = {"action": "hide", "select": {"item_ids": ["a"]}, "name": ODD}
    shop.call("PUT", "/v1/rules/odd", json=hide)
    picture = {"title": ODD, "image_url": "/i.png", "link_url": "/l"}
    shop.call("PUT", "/v1/banners/odd", json=picture)
    return Visitor(shop)


@pytest.fixture
def shop_with_model(tmp_path: Path) -> Iterator[Shop]:
    """Open a shop whose model is the tiny one."""
    store = ArtifactStore(tmp_path)
    store.promote(store.publish(tiny_snapshot("")))
    with open_client(tmp_path) as client:
        yield Shop(client)


@pytest.mark.parametrize("section", SECTIONS)
def test_section_is_for_merchandisers(shop: Shop, section: str) -> None:
    """A trainer is refused, and does not find it in the menu."""
    trainer = Visitor(shop, "trainer")
    assert trainer.get(f"/console/{section}").status_code == 403
    assert f"/console/{section}" not in trainer.get("/console").text


@pytest.mark.parametrize(
    "path",
    [
        *SECTIONS,
        *(f"{section}/new" for section in SECTIONS[:3]),
        *("placements/home", "rules/odd", "banners/odd"),
        "preview?as_user=u&as_why=a&as_segments=x&as_variant=control&placement=home",
    ],
)
def test_page_needs_no_model(ann: Visitor, path: str) -> None:
    """It is drawn, and what people have typed stands in it as text."""
    answer = ann.get(f"/console/{path}")
    assert answer.status_code == 200, answer.text
    assert "<b>" not in answer.text


def test_equal_names_are_told_apart_by_their_ids(ann: Visitor) -> None:
    """In the lists of placements and of rules; an id without a name stands there once."""
    hide = {"action": "hide", "select": {"item_ids": ["a"]}}
    for section, document in (("placements", {"kind": "items"}), ("rules", hide)):
        for document_id in ("first-one", "second-one"):
            ann.shop.call("PUT", f"/v1/{section}/{document_id}", json={**document, "name": "Same"})
        ann.shop.call("PUT", f"/v1/{section}/third-one", json=document)
        shown = ann.get(f"/console/{section}").text
        assert shown.count(">Same</a>") == 2
        for document_id in ("first-one", "second-one", "third-one"):
            assert shown.count(f">{document_id}<") == 1


def test_unknown_document_is_a_page(ann: Visitor) -> None:
    """With the status that the interface would have."""
    for path in ("placements/nope", "rules/nope", "banners/nope"):
        assert ann.get(f"/console/{path}").status_code == 404


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("rules", {"action": "pin", "position": "x", "item_ids": "a"}, "is not a number"),
        ("rules", {"action": "pin", "position": "1.5", "item_ids": "a"}, "not a whole number"),
        ("rules", {"action": "hide"}, "would be about every item"),
        ("rules", {"action": "dance", "item_ids": "a"}, "dance"),
        ("rules", {"action": "hide", "item_ids": "a", "time_zone": "Mars", "ends_at": "x"}, ""),
        ("rules", {"action": "hide", "item_ids": "a", "audience_json": "{"}, "this is not JSON"),
        ("placements", {"kind": "items", "explore_percent": "80"}, "not between 0 and 50"),
        ("placements", {"kind": "plants", "explore_percent": "0"}, "plants"),
        ("banners", {"title": "T", "link_url": "/l"}, "a banner needs a picture"),
        ("banners", {"title": "T", "link_url": "javascript:1", "image_url": "/i"}, "runs code"),
    ],
)
def test_wrong_form_is_shown_again(
    ann: Visitor, path: str, fields: dict[str, Any], said: str
) -> None:
    """What was typed stands there with what is wrong; nothing is saved."""
    before = ann.shop.services.current.get().revision
    answer = ann.post(f"/console/{path}/save", **fields)
    assert answer.status_code == 400, answer.text
    assert said in answer.text
    preview = ann.post(f"/console/{path}/preview", part=True, **fields)
    assert preview.status_code == 200
    assert ann.shop.services.current.get().revision == before


@pytest.mark.parametrize(
    ("path", "fields", "field", "said"),
    [
        ("placements", {"static_ids": "a\nb\na"}, "static_ids", "'a' stands here twice"),
        ("rules", {"item_ids": "a\na"}, "item_ids", "'a' stands here twice"),
        ("rules", {"brands": "A\nA"}, "brands", "'A' stands here twice"),
        (
            "rules",
            {"price_at_least": "5", "price_below": "3"},
            "price_below",
            "a price below 3 is never from 5 up; swap them",
        ),
        (
            "rules",
            {"action": "boost", "strength": "2000", "item_ids": "a"},
            "strength",
            "a number at most 1000 is wanted here",
        ),
        ("banners", {"item_ids": "a\na"}, "item_ids", "'a' stands here twice"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    ann: Visitor, path: str, fields: dict[str, Any], field: str, said: str
) -> None:
    """In words that name no field as the document does."""
    rest: dict[str, Any] = {"kind": "items", "explore_percent": "0", "action": "hide", "title": "T"}
    rest |= {"image_url": "/i.png", "link_url": "/l"}
    shown = html.unescape(ann.post(f"/console/{path}/save", **(rest | fields)).text)
    found = re.search(rf'id="e-{field}">([^<]*)<', shown)
    assert found is not None
    assert found[1].startswith(said)


def test_rule_stays_where_it_was_when_its_placement_goes(ann: Visitor) -> None:
    """Saved again from its form it is not everywhere all of a sudden: the form has it, and asks."""
    rule = {"action": "hide", "select": {"item_ids": ["a"]}, "placements": ["home"]}
    revision = ann.shop.call("PUT", "/v1/rules/here", json=rule).json()["revision"]
    ann.shop.call("DELETE", "/v1/placements/home")
    page = ann.get("/console/rules/here").text
    shown = re.findall(r'name="placements" value="(\w+)"( checked)?', page)
    assert shown == [("hero", ""), ("home", " checked")]
    ticked = [name for name, is_ticked in shown if is_ticked]
    fields: dict[str, Any] = {"id": "here", "action": "hide", "item_ids": "a"}
    fields["revision"] = str(revision)
    asked = ann.post("/console/rules/save", **fields, placements=ticked)
    assert asked.status_code == 400
    assert "placement 'home' of the rule is not configured" in html.unescape(asked.text)
    assert ann.shop.call("GET", "/v1/rules/here").json()["placements"] == ["home"]
    ann.post("/console/rules/save", **fields, placements=["hero"])
    assert ann.shop.call("GET", "/v1/rules/here").json()["placements"] == ["hero"]


def test_names_make_ids(ann: Visitor) -> None:
    """Of letters and digits, and never one that is taken."""
    fields: dict[str, Any] = {"action": "hide", "item_ids": "a", "name": "Café  crème!"}
    first = ann.post("/console/rules/save", **fields)
    second = ann.post("/console/rules/save", **fields)
    assert first.headers["location"] == "/console/rules/cafe-creme"
    assert second.headers["location"] == "/console/rules/cafe-creme-2"
    third = ann.post("/console/rules/save", **(fields | {"name": "شاي"}))
    assert third.headers["location"] == "/console/rules/rule"
    taken = ann.post("/console/rules/save", **fields, id="cafe-creme")
    assert (taken.status_code, "is taken" in taken.text) == (400, True)


def test_form_without_its_token_changes_nothing(ann: Visitor) -> None:
    """A form of another site is refused."""
    for path in ("rules/odd/delete", "placements/home/delete", "banners/odd/switch", "rules/save"):
        assert ann.post_raw(f"/console/{path}").status_code == 403


def test_document_is_switched_undone_and_deleted(ann: Visitor) -> None:
    """Each leads back to a page, and is in the history under the name of the key."""
    ann.post("/console/banners/odd/switch", enabled="")
    assert ann.shop.services.current.get().banners["odd"].enabled is False
    history = ann.shop.call("GET", "/v1/banners/odd/history").json()["changes"]
    first = history[-1]["revision"]
    assert ann.post("/console/banners/odd/undo", revision=str(first)).status_code == 303
    assert ann.shop.services.current.get().banners["odd"].enabled is True
    assert "undo to revision" in ann.get("/console/banners/odd").text
    assert ann.post("/console/banners/odd/delete").headers["location"] == "/console/banners"
    assert "odd" not in ann.shop.services.current.get().banners


def test_second_editor_is_shown_what_differs(ann: Visitor) -> None:
    """412 with both states, and a form that saves on top of the newer one."""
    stored = ann.shop.services.current.get().placements["home"]
    ann.shop.call("PATCH", "/v1/placements/home", json={"count": 9})
    fields: dict[str, Any] = {"id": "home", "kind": "items", "count": "5", "explore_percent": "0"}
    answer = ann.post("/console/placements/save", **fields, revision=str(stored.revision))
    assert answer.status_code == 412
    assert "<del>9</del>" in answer.text
    assert "<ins>5</ins>" in answer.text
    newer = ann.shop.services.current.get().placements["home"].revision
    assert f'name="revision" value="{newer}"' in answer.text
    assert ann.post("/console/placements/save", **fields, revision=str(newer)).status_code == 303
    assert ann.shop.services.current.get().placements["home"].count == 5


@pytest.mark.parametrize(
    ("section", "wrong", "right", "other"),
    [
        (
            "placements",
            {"kind": "items", "explore_percent": "80"},
            {"kind": "items", "explore_percent": "0"},
            {"kind": "items", "name": "Theirs"},
        ),
        (
            "rules",
            {"action": "pin", "position": "x", "item_ids": "a"},
            {"action": "hide", "item_ids": "a"},
            {"action": "hide", "select": {"item_ids": ["b"]}, "name": "Theirs"},
        ),
        (
            "banners",
            {"title": "T", "link_url": "javascript:1", "image_url": "/i.png"},
            {"title": "T", "link_url": "/l", "image_url": "/i.png"},
            {"title": "Theirs", "link_url": "/", "image_url": "/i.png"},
        ),
        (
            "layers",
            {"n_slots": "x", "rest_days": "1"},
            {"n_slots": "10", "rest_days": "1"},
            {"name": "Theirs"},
        ),
    ],
)
def test_form_that_was_refused_still_meets_the_other_editor(
    ann: Visitor, section: str, wrong: dict[str, Any], right: dict[str, Any], other: dict[str, Any]
) -> None:
    """Who mends it afterwards does not take back in silence what was saved meanwhile."""
    path = f"/v1/{section}/both"
    seen = ann.shop.call("PUT", path, json=FIRST_DOCUMENTS[section]).json()["revision"]
    ann.shop.call("PUT", path, json=other)
    refused = ann.post(f"/console/{section}/save", **wrong, id="both", revision=str(seen))
    assert refused.status_code == 400
    again = {revision_in(refused.text)}
    if section != "layers":  # has no preview
        shown = ann.post(f"/console/{section}/preview", **right, id="both", revision=str(seen))
        again.add(revision_in(shown.text))
    assert again == {str(seen)}
    late = ann.post(f"/console/{section}/save", **right, id="both", revision=again.pop())
    assert (late.status_code, "Theirs" in late.text) == (412, True)


def revision_in(page: str) -> str:
    """Read the state that the form of a page is about: its first field, before any of a history."""
    found = re.search(r'name="revision" value="(\d*)"', page)
    assert found is not None
    return found[1]


def test_preview_beside_a_form_says_what_changes(shop_with_model: Shop) -> None:
    """A part of a page with the slate as it would be, and what would go."""
    shop_with_model.call("PUT", "/v1/placements/home", json={"kind": "items", "count": 3})
    bea = Visitor(shop_with_model)
    fields: dict[str, Any] = {
        "action": "hide",
        "about": "items",
        "item_ids": "rose",
        "enabled": "1",
    }
    part = bea.post("/console/rules/preview", part=True, **fields, in_control="1")
    assert part.status_code == 200
    assert "<html" not in part.text
    assert "No longer here" in part.text
    assert "The rose" in part.text
    found = bea.post("/console/rules/preview", part=True, **fields, find="lamp")
    assert 'value="lamp"' in found.text
    whole = bea.post("/console/rules/preview", **fields, add="lamp")
    assert "rose\nlamp</textarea>" in whole.text
    why = bea.get("/console/preview?as_why=mug,gone,nothing").text
    assert "It is here, at position 2." in why
    assert "It cannot be bought now." in why
    assert "It is not in the catalogue." in why


@pytest.mark.parametrize(
    ("section", "name"), [("placements", "home"), ("rules", "odd"), ("banners", "odd")]
)
def test_what_was_deleted_is_brought_back(
    shop: Shop, ann: Visitor, section: str, name: str
) -> None:
    """From the list it is gone from, as it was; then it is not offered any more."""
    path = f"/v1/{section}/{name}" + ("/config" if section == "placements" else "")
    before = shop.call("GET", path).json()
    assert "Bring it back" not in ann.get(f"/console/{section}").text
    ann.post(f"/console/{section}/{name}/delete")
    assert shop.call("GET", path).status_code == 404
    shown = html.unescape(ann.get(f"/console/{section}").text)
    assert ODD in shown
    found = re.search(r'action="([^"]+/undo)".*?name="revision" value="(\d+)"', shown, re.DOTALL)
    assert found is not None
    assert ann.post(found[1], revision=found[2]).status_code == 303
    after = shop.call("GET", path).json()
    assert {**after, "revision": 0} == {**before, "revision": 0}
    assert "Bring it back" not in ann.get(f"/console/{section}").text


def test_list_of_rules_tells_which_work_against_each_other(shop: Shop, ann: Visitor) -> None:
    """The same sentence in the console as in the API; none where they agree."""
    assert shop.call("GET", "/v1/rules").json()["warnings"] == []
    assert "work against each other" not in ann.get("/console/rules").text
    pin = {"action": "pin", "position": 1, "select": {"item_ids": ["a"]}}
    shop.call("PUT", "/v1/rules/pin", json=pin)
    (warning,) = shop.call("GET", "/v1/rules").json()["warnings"]
    assert warning["rule_ids"] == ["pin", "odd"]
    shown = html.unescape(ann.get("/console/rules").text)
    assert "Some rules work against each other" in shown
    assert warning["message"] in shown


@pytest.mark.parametrize(("section", "document"), FIRST_DOCUMENTS.items())
def test_document_of_an_older_version_with_a_slash_has_its_page(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, section: str, document: dict[str, Any]
) -> None:
    """It is opened from the list, changed and deleted like any other."""
    monkeypatch.setattr("service.control.writing.check_new_id", lambda *_: None)
    revision = shop.call("PUT", f"/v1/{section}/a%2Fb", json=document).json()["revision"]
    visitor = Visitor(shop)
    address = f"/console/{section}/a%2Fb"
    assert f'href="{address}"' in visitor.get(f"/console/{section}").text
    assert visitor.get(address).status_code == 200
    if section in ("banners", "rules"):
        assert visitor.post(f"{address}/switch", enabled="0").status_code == 303
        assert shop.call("GET", f"/v1/{section}/a%2Fb").json()["enabled"] is False
    gone = visitor.post(f"{address}/delete", revision=str(revision))
    assert gone.headers["location"] == f"/console/{section}"
    assert visitor.get(address).status_code == 404


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        ("placements", {"kind": "items", "count": "5", "explore_percent": "0"}),
        ("rules", {"action": "hide", "item_ids": "a"}),
        ("banners", {"title": "T", "link_url": "/l", "image_url": "/i.png"}),
        ("layers", {"n_slots": "10", "rest_days": "1"}),
    ],
)
def test_form_of_a_deleted_document_makes_nothing_by_itself(
    ann: Visitor, section: str, fields: dict[str, Any]
) -> None:
    """What was typed stands there; it is made again only by a form that says so."""
    document = FIRST_DOCUMENTS[section]
    revision = ann.shop.call("PUT", f"/v1/{section}/gone", json=document).json()["revision"]
    ann.shop.call("DELETE", f"/v1/{section}/gone")
    typed: dict[str, Any] = {**fields, "id": "gone", "name": "Typed name"}
    answer = ann.post(f"/console/{section}/save", **typed, revision=str(revision))
    assert answer.status_code == 412
    assert "so nothing was saved" in answer.text
    assert 'value="Typed name"' in answer.text
    assert all(
        one.get("id") != "gone" for one in ann.shop.call("GET", f"/v1/{section}").json()[section]
    )
    again = ann.post(f"/console/{section}/save", **typed, revision="")
    assert again.headers["location"] == f"/console/{section}/gone"
