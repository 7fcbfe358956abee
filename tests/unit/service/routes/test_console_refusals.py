"""What the console refuses: beside the field that it is about, in the words of its form."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.artifact import ArtifactStore
from service.routes.console import rollouts
from tests.snapshots import tiny_snapshot
from tests.unit.service.routes.console_shop import Visitor
from tests.unit.service.routes.samples import Shop, open_client


@pytest.fixture
def ann(shop: Shop) -> Visitor:
    """Sign a merchandiser in, to a shop with a rollout."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1})
    return Visitor(shop)


@pytest.fixture
def shop_with_model(tmp_path: Path) -> Iterator[Shop]:
    """Open a shop whose model is the tiny one."""
    store = ArtifactStore(tmp_path)
    store.promote(store.publish(tiny_snapshot("")))
    with open_client(tmp_path) as client:
        yield Shop(client)


def beside(text: str, field: str) -> str:
    """Return what stands beside a field."""
    found = re.search(rf'id="e-{field}">([^<]*)<', text)
    return html.unescape(found[1]) if found else ""


HIDE = {"action": "hide", "item_ids": "a"}
BANNER = {"title": "T", "link_url": "/l", "image_url": "/i.png"}
WARNING = "Nothing is known of 8: it is not shown until"
PLACEMENT = {"kind": "items", "explore_percent": "0"}


@pytest.mark.parametrize(
    ("section", "fields", "field", "said"),
    [
        ("rules", HIDE | {"name": "n" * 201}, "name", "at most 200 characters"),
        (
            "rules",
            HIDE | {"audience_json": '{"op":"in"}'},
            "audience_json",
            "“attribute” is missing",
        ),
        ("rules", HIDE | {"price_at_least": "-1"}, "price_at_least", "at least 0"),
        ("rules", HIDE | {"time_zone": "Mars/Base"}, "time_zone", "'Mars/Base' is not a time zone"),
        ("banners", BANNER | {"cap_hours": "5"}, "cap_views", "after how many times"),
        ("banners", BANNER | {"cap_views": "2.5"}, "cap_views", "not a whole number"),
        ("banners", BANNER | {"cap_views": "0"}, "cap_views", "at least 1"),
        ("banners", BANNER | {"time_zone": "Mars/Base"}, "time_zone", "is not a time zone"),
        ("placements", PLACEMENT | {"count": "0"}, "count", "at least 1"),
    ],
)
def test_refusal_stands_beside_its_field(
    ann: Visitor, section: str, fields: dict[str, Any], field: str, said: str
) -> None:
    """In plain words, and nothing is saved."""
    answer = ann.post(f"/console/{section}/save", **fields)
    assert answer.status_code == 400
    assert said in beside(answer.text, field)
    assert "Expected `" not in html.unescape(answer.text)
    assert ann.shop.call("GET", f"/v1/{section}").json()[section] == []


def test_nul_is_refused_by_the_name_of_what_holds_it(ann: Visitor) -> None:
    """PostgreSQL, which takes none, would be told as a database that cannot be read."""
    typed: dict[str, Any] = HIDE | {"name": "a\0"}
    for answer, named in (
        (ann.get("/console/rollouts/a%00b"), "rollout_key"),
        (ann.get("/console/catalogue?search=a%00"), "query.search"),
        (ann.post("/console/rules/save", **typed), "the field 'name' of the form"),
    ):
        assert answer.status_code == 400
        text = html.unescape(answer.text).lower()
        assert f"{named} " in text or f"{named}: " in text
        assert "contains a nul" in text
    assert ann.shop.call("GET", "/v1/rules").json()["rules"] == []


def test_rule_about_nothing_says_where_to_say_it(ann: Visitor) -> None:
    """Not in the words of the API."""
    text = ann.post("/console/rules/save", action="hide").text
    assert "say below which are meant" in text
    assert "say in select" not in text


@pytest.mark.parametrize("typed", ["control", "a b"])
def test_new_rollout_marks_a_wrong_treatment(ann: Visitor, typed: str) -> None:
    """The form has one field for what the document lists."""
    answer = ann.post("/console/rollouts/new", key="x", share="0", variant=typed)
    assert (answer.status_code, beside(answer.text, "variant") != "") == (400, True)


def test_new_rollout_says_that_its_key_is_taken(ann: Visitor) -> None:
    """Nobody has changed anything meanwhile."""
    answer = ann.post("/console/rollouts/new", key="r", share="0")
    assert beside(answer.text, "key") == "'r' is taken; choose another key"
    assert "someone else" not in answer.text


def test_refusal_of_a_field_that_is_not_on_the_page_is_told(
    ann: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the form, where it would else send people to look for a field."""
    monkeypatch.setattr(rollouts, "errors_of", lambda _: {"salt": "too <long>"})
    answer = ann.post("/console/rollouts/new", key="x", share="200")
    shown = re.search(r'role="alert">.*?<p>([^<]*)</p>', answer.text, re.DOTALL)
    assert shown is not None
    assert html.unescape(shown[1]) == "too <long>"


def test_rollout_refuses_an_unknown_time_zone(ann: Visitor) -> None:
    """Beside the field, without dates too."""
    revision = str(ann.shop.call("GET", "/v1/rollouts/r").json()["revision"])
    answer = ann.post("/console/rollouts/r/edit", revision=revision, time_zone="Mars/Base")
    assert "is not a time zone" in beside(answer.text, "time_zone")


def test_unknown_item_is_warned_of_and_saved(shop_with_model: Shop) -> None:
    """A catalogue may come later; an id that is known is not named."""
    bob = Visitor(shop_with_model)
    pin: dict[str, Any] = {"action": "pin", "position": "1", "item_ids": "mug\n8"}
    assert WARNING in bob.post("/console/rules/preview", part=True, **pin).text
    saved = bob.post("/console/rules/save", **pin, id="pin")
    assert saved.status_code == 303
    assert WARNING in bob.get("/console/rules/pin").text
    listed: dict[str, Any] = PLACEMENT | {"static_ids": "8\nmug"}
    assert WARNING in bob.post("/console/placements/preview", part=True, **listed).text
    assert bob.post("/console/placements/save", **listed, id="home").status_code == 303
    assert WARNING in bob.get("/console/placements/home").text
    known: dict[str, Any] = PLACEMENT | {"static_ids": "mug"}
    assert "Nothing is known of" not in bob.post("/console/placements/preview", **known).text


def told(page: httpx.Response) -> str:
    """Return what a page says, without the menu and the forms of it."""
    main = page.text.partition("<main")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


OF_THE_API = re.compile(r"/v1/|/schema|\b(GET|PUT|POST|PATCH|DELETE)\b|If-Match|\"\w+\": ")


@pytest.mark.parametrize(
    ("path", "status", "said", "way"),
    [
        ("placements/gone", 404, "'gone' is not configured; known: home; make it under P", "Place"),
        ("placements/gone/history", 404, "begin from the menu", ""),
        ("banners/gone", 404, "none is known yet; make it under Banners", "Banners"),
        ("rules/gone", 404, "make it under Rules", "Rules"),
        ("rollouts/gone", 404, "known: r; make it under Rollouts", "Rollouts"),
        ("rollouts/gone/edit", 404, "make it under Rollouts", "Rollouts"),
        ("layers/gone", 404, "make it under Layers and holdout", "Rollouts"),
        ("catalogue/item?id=gone", 404, "", "Catalogue"),
        ("insights/gone.csv", 404, "take the link of the page", "Insights"),
        ("insights?days=many", 400, "take the links and buttons", "Insights"),
        ("models/gone", 404, "'gone' does not exist; none is known yet; look under", "Models"),
        ("shoppers/user/gone", 400, "type the shop's own id under Shoppers", "Shoppers"),
        ("gone", 404, "there is no /console/gone; begin from the menu", ""),
        ("rules/save", 405, "where a form is sent to and no page; begin from the menu", ""),
    ],
)
def test_refused_page_says_what_to_do_in_the_console(
    ann: Visitor, path: str, status: int, said: str, way: str
) -> None:
    """Where to look and what to press, with a way to the section: no calls of the API."""
    ann.shop.call("PUT", "/v1/placements/home", json={"kind": "items"})
    admin = Visitor(ann.shop, "admin")
    page = admin.get(f"/console/{path}")
    assert page.status_code == status
    text = told(page)
    assert said.lower() in text.lower()
    assert not OF_THE_API.search(text)
    assert f"Go to {way}" in text or not way
    script = ann.shop.client.get(f"/console/{path}", headers={"x-requested-with": "console"})
    assert said in script.json()["detail"]


def test_refused_change_says_what_to_press(ann: Visitor) -> None:
    """What cannot be undone, deleted, approved or named, in the words of the pages."""
    call = ann.shop.call
    call("PUT", "/v1/rules/pin", json={"action": "hide", "select": {"item_ids": ["a"]}})
    call("PUT", "/v1/rollouts/seen", json={"share": 0.1, "approval": True})
    revision = call("GET", "/v1/rollouts/seen").json()["revision"]
    undone = ann.post("/console/rules/pin/undo", revision="1")
    deleted = ann.post("/console/rollouts/seen/delete", revision=str(revision))
    decided = ann.post("/console/rollouts/seen/proposals/7/approve")
    banner: dict[str, Any] = BANNER | {"image_url": "ftp://i.png"}
    edited = ann.post("/console/banners/save", **banner)
    rule: dict[str, Any] = HIDE | {"placements": "gone", "id": "x"}
    required = ann.post("/console/rules/save", **rule)
    for answer, status, said in (
        (undone, 409, "choose a later change of its history, or delete it"),
        (deleted, 409, "take “Changes want a second pair of eyes” off under Edit first"),
        (decided, 409, "its page shows what waits"),
        (edited, 400, "it begins with https: or /, or choose a file to upload"),
        (required, 400, "none is known yet; make it under Placements, or name another"),
    ):
        text = told(answer)
        assert (answer.status_code, said in text) == (status, True), text[:1500]
        assert not re.search("/v1/|/schema", text)


def test_without_a_model_no_item_is_unknown(ann: Visitor) -> None:
    """There is no catalogue to look in."""
    typed: dict[str, Any] = {"action": "pin", "position": "1", "item_ids": "8"}
    shown = ann.post("/console/rules/preview", part=True, **typed)
    assert "Nothing is known of" not in shown.text
