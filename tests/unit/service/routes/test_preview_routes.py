"""Previews: a page as somebody would see it, and nothing of it in any log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.artifact import ArtifactStore
from models.pseudonym import load_pseudonymiser
from service.stores.event_ledger import reconcile
from tests.snapshots import tiny_snapshot
from tests.unit.service.routes.samples import NOW_MS, Shop, open_client
from tests.unit.service.routes.test_bad_input import is_problem

BANNER = {"title": "Garden", "image_url": "/i", "link_url": "/l"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Open a shop whose model knows alice, with a rollout at half and a banner with a cap."""
    alice = load_pseudonymiser(tmp_path).pseudonym("user_id", "alice")
    store = ArtifactStore(tmp_path)
    store.promote(store.publish(tiny_snapshot("", alice)))
    with open_client(tmp_path) as client:
        opened = Shop(client)
        home = {"kind": "items", "count": 3, "static_ids": ["spade", "bulb"]}
        opened.call("PUT", "/v1/placements/home", json=home)
        opened.call("PUT", "/v1/placements/hero", json={"kind": "banners"})
        opened.call(
            "PUT", "/v1/banners/garden", json={**BANNER, "cap": {"max_views": 1, "hours": 24}}
        )
        opened.call("PUT", "/v1/rollouts/home", json={"share": 0.5})
        yield opened


def look(shop: Shop, preview: dict[str, Any] | None = None, **body: Any) -> list[dict[str, Any]]:
    """Preview both placements, or those of `body`."""
    asked = {
        "user": {"user_id": "alice"},
        "placements": [{"id": "home"}, {"id": "hero"}],
        **body,
        "options": {"preview": preview or {}, **body.get("options", {})},
    }
    answer = shop.call("POST", "/v1/serve", scope="merchandiser", json=asked)
    assert answer.status_code == 200, answer.text
    placements: list[dict[str, Any]] = answer.json()["placements"]
    return placements


def ids(slate: dict[str, Any]) -> list[str]:
    """List what stands there."""
    return [one["id"] for one in slate.get("items") or slate.get("banners", [])]


def test_preview_forces_a_variant(shop: Shop) -> None:
    """Control is the static list, personal is alice's own; the answer says it was forced."""
    control, _ = look(shop, {"variants": {"home": "control"}})
    assert ids(control) == ["spade", "bulb", "rose"]
    personal, _ = look(shop, {"variants": {"home": "personal"}})
    assert ids(personal)[:2] == ["pot", "mug"]
    assert personal["rollout"]["detail"] == "FORCED"
    for variants, sentence in (
        ({"home": "persnal"}, "none of rollout 'home'; known: control, personal"),
        ({"hme": "personal"}, "rollout 'hme' at $.options.preview.variants is not configured"),
    ):
        asked = {"placements": [{"id": "home"}], "options": {"preview": {"variants": variants}}}
        body = is_problem(shop.call("POST", "/v1/serve", json=asked), 400)
        assert sentence in body["detail"]


def test_preview_leaves_no_trace(shop: Shop) -> None:
    """No exposure, no view of the capped banner, nobody brought together, no counter."""
    both = {"user_id": "alice", "anonymous_id": "phone"}
    for _ in range(3):
        _, hero = look(shop, user=both)
        assert (ids(hero), hero["exposure_id"]) == (["garden"], "")
    shop.services.intake.exposures.put_all([])
    ledger = reconcile(shop.services.settings.home / "events.sqlite")
    assert (ledger.assigned, ledger.exposure_rows) == (0, 0)
    text = shop.call("GET", "/metrics").text
    assert "endcap_exposures_served_total 0.0" in text
    real = {"user": both, "placements": [{"id": "hero"}]}
    assert ids(shop.call("POST", "/v1/serve", json=real).json()["placements"][0]) == ["garden"]
    assert ids(shop.call("POST", "/v1/serve", json=real).json()["placements"][0]) == []


def test_preview_shows_what_is_not_saved(shop: Shop) -> None:
    """A draft rule, placement, banner and rollout; the stored ones stay in effect for others."""
    pin = {"id": "p", "action": "pin", "position": 1, "select": {"item_ids": ["köpek"]}}
    drafts = {
        "rules": [pin],
        "placements": [{"id": "home", "kind": "items", "count": 2}],
        "banners": [{**BANNER, "id": "garden", "enabled": False}, {**BANNER, "id": "new"}],
        "rollouts": [{"key": "home", "share": 0.0}],
    }
    home, hero = look(shop, {"drafts": drafts})
    assert ids(home)[0] == "köpek"
    assert len(ids(home)) == 2
    assert home["rollout"]["variant"] == "control"
    assert ids(hero) == ["new"]
    home, hero = look(shop, {"variants": {"home": "personal"}})
    assert "köpek" not in ids(home)
    assert ids(hero) == ["garden"]
    asked = {"placements": [{"id": "home"}], "options": {"preview": {"drafts": {"rules": [{}]}}}}
    is_problem(shop.call("POST", "/v1/serve", json=asked), 400)


def test_preview_is_of_a_time(shop: Shop) -> None:
    """A rule of next year is seen next year."""
    assert NOW_MS < 1_800_000_000_000  # before 2027
    pin = {"action": "pin", "position": 1, "select": {"item_ids": ["köpek"]}}
    shop.call("PUT", "/v1/rules/p", json={**pin, "starts_at": "2030-01-01T00:00:00Z"})
    now, _ = look(shop)
    then, _ = look(shop, {"at": "2030-01-01T00:00:00Z"})
    assert (ids(now)[0] == "köpek", ids(then)[0]) == (False, "köpek")


def test_preview_puts_the_shopper_in_segments(shop: Shop) -> None:
    """Someone unknown sees what the segment buys; alice can be left out of hers."""
    asks = {"op": "segment", "segment": "value:regular"}
    hide = {"action": "hide", "select": {"item_ids": ["mug"]}, "audience": asks}
    shop.call("PUT", "/v1/rules/h", json=hide)
    variants = {"home": "personal"}
    nobody: dict[str, Any] = {"user": {}}
    plain, _ = look(shop, {"variants": variants}, **nobody)
    regular, _ = look(shop, {"variants": variants, "segments": ["value:regular"]}, **nobody)
    assert (ids(plain)[0], plain["tier"]) == ("rose", "popular")
    assert (ids(regular)[0], regular["tier"]) == ("bulb", "segment")
    alice, _ = look(shop, {"variants": variants})
    other, _ = look(shop, {"variants": variants, "segments": []})
    assert ("mug" in ids(alice), "mug" in ids(other)) == (False, True)


def test_why_names_the_reason(shop: Shop) -> None:
    """For each item what keeps it away, with rank and score where only these do."""
    shop.call("PATCH", "/v1/items/lamp", json={"hidden": True})
    hide = {"action": "hide", "select": {"item_ids": ["bulb"]}}
    shop.call("PUT", "/v1/rules/dark", json=hide)
    shop.call("PATCH", "/v1/placements/home", json={"max_per_brand": 1})
    asked = ["pot", "mug", "cup", "pan", "lamp", "bulb", "gone", "spade", "nope", "köpek", "rose"]
    home, hero = look(
        shop,
        {"variants": {"home": "personal"}},
        context={"item_ids": ["spade"]},
        placements=[
            {"id": "home", "exclude_item_ids": ["rose"]},
            {"id": "hero"},
        ],
        options={"why": asked},
    )
    why = {one["id"]: one for one in home["why"]}
    reasons = {one: answer["reason"] for one, answer in why.items()}
    assert ids(home) == ["pot", "mug", "köpek"]
    assert reasons == {
        "pot": "shown",
        "mug": "shown",
        "cup": "brand_cap",
        "pan": "purchased",
        "lamp": "hidden",
        "bulb": "hidden_by_rule",
        "gone": "unavailable",
        "spade": "page_item",
        "nope": "not_in_catalogue",
        "köpek": "shown",
        "rose": "excluded",
    }
    assert why["bulb"]["rule"] == "dark"
    assert why["mug"]["position"] == 2
    assert {one["reason"] for one in hero["why"]} == {"not_in_catalogue"}


def test_why_says_rank_and_score_needed(shop: Shop) -> None:
    """Below the third of alice's list: its own score, and that of the last one that stands."""
    [home] = look(
        shop,
        {"variants": {"home": "personal"}},
        placements=[{"id": "home", "count": 2}],
        options={"why": ["cup", "rose"]},
    )
    cup, rose = home["why"]
    assert (cup["reason"], cup["rank"]) == ("ranked_below", 3)
    assert cup["score"] < cup["score_needed"] == home["items"][1]["score"]
    assert rose["reason"] == "ranked_below"
    first, second = look(
        shop,
        {"variants": {"home": "personal"}},
        placements=[{"id": "home", "count": 1}, {"id": "home", "count": 1}],
        options={"why": ids(home)[:1]},
    )
    assert (first["why"][0]["reason"], second["why"][0]) == (
        "shown",
        {"id": "pot", "reason": "on_page", "placement": "home"},
    )


def test_why_of_banners(shop: Shop) -> None:
    """Off, not begun, for others, outranked."""
    asks = {"op": "equals", "attribute": "country", "value": "AE"}
    shop.call("PUT", "/v1/banners/off", json={**BANNER, "enabled": False})
    shop.call("PUT", "/v1/banners/late", json={**BANNER, "starts_at": "2100-01-01T00:00:00Z"})
    shop.call("PUT", "/v1/banners/there", json={**BANNER, "audience": asks})
    shop.call("PUT", "/v1/banners/light", json={**BANNER, "weight": 0.5})
    asked = ["garden", "off", "late", "there", "light", "nope"]
    [hero] = look(shop, placements=[{"id": "hero"}], options={"why": asked})
    assert [one["reason"] for one in hero["why"]] == [
        "shown",
        "switched_off",
        "not_live",
        "not_in_audience",
        "ranked_below",
        "not_in_catalogue",
    ]


@pytest.mark.parametrize("option", [{"preview": {}}, {"why": ["mug"]}, {"explain": True}])
def test_publishable_key_may_not_look(shop: Shop, option: dict[str, Any]) -> None:
    """What is for merchandisers is refused with the scope that it needs."""
    asked = {"placements": [{"id": "home"}], "options": option}
    body = is_problem(shop.call("POST", "/v1/serve", scope="publishable", json=asked), 403)
    assert "merchandiser" in body["detail"]
