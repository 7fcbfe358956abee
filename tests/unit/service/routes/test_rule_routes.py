"""Rules over HTTP: stored like other documents, in effect with the next page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.artifact import ArtifactStore
from tests.snapshots import tiny_snapshot
from tests.unit.service.routes.samples import Shop, open_client
from tests.unit.service.routes.test_bad_input import is_problem

HIDE = {"action": "hide", "select": {"item_ids": ["rose"]}}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Open a shop with a model and one placement."""
    store = ArtifactStore(tmp_path)
    store.promote(store.publish(tiny_snapshot("")))
    with open_client(tmp_path) as client:
        opened = Shop(client)
        opened.call("PUT", "/v1/placements/home", json={"kind": "items", "count": 3})
        yield opened


def page(shop: Shop, **options: Any) -> dict[str, Any]:
    """Serve the placement."""
    asked = {"placements": [{"id": "home"}], "options": options}
    answer = shop.call("POST", "/v1/serve", json=asked)
    assert answer.status_code == 200, answer.text
    slate: dict[str, Any] = answer.json()["placements"][0]
    return slate


def ids(slate: dict[str, Any]) -> list[str]:
    """List what stands there."""
    return [item["id"] for item in slate["items"]]


def test_rule_is_in_effect_with_the_next_page(shop: Shop) -> None:
    """Hidden, switched off, deleted: each change shows at once in the worker that made it."""
    assert ids(page(shop)) == ["rose", "mug", "lamp"]
    made = shop.call("PUT", "/v1/rules/no-rose", json=HIDE, scope="merchandiser")
    assert (made.status_code, made.json()["revision"]) == (
        201,
        int(made.headers["etag"].strip('"')),
    )
    assert ids(page(shop)) == ["mug", "lamp", "pan"]
    shop.call("PATCH", "/v1/rules/no-rose", json={"enabled": False})
    assert ids(page(shop))[0] == "rose"
    shop.call("PATCH", "/v1/rules/no-rose", json={"enabled": True})
    assert ids(page(shop))[0] == "mug"
    assert shop.call("DELETE", "/v1/rules/no-rose").status_code == 204
    assert ids(page(shop))[0] == "rose"


def test_explain_names_the_rules(shop: Shop) -> None:
    """Without it the answer has no word of them."""
    pin = {"action": "pin", "position": 1, "select": {"item_ids": ["bulb"]}, "name": "Light!"}
    shop.call("PUT", "/v1/rules/light", json=pin)
    assert "rules" not in page(shop)
    slate = page(shop, explain=True)
    assert slate["items"][0]["source"] == "pin"
    assert slate["rules"] == [
        {"id": "light", "name": "Light!", "action": "pin", "ids": ["bulb"], "skipped": []}
    ]


def test_rule_is_refused_with_its_place(shop: Shop) -> None:
    """Which rule of rules is broken, an old revision, and a key that may not."""
    body = is_problem(shop.call("PUT", "/v1/rules/r", json={**HIDE, "factor": 2}), 400)
    assert "a hide has no factor" in body["detail"]
    shop.call("PUT", "/v1/rules/r", json=HIDE)
    old = shop.call("PATCH", "/v1/rules/r", json={"priority": 1}, headers={"If-Match": '"1"'})
    assert is_problem(old, 412)["current"]["id"] == "r"
    is_problem(shop.call("GET", "/v1/rules", scope="publishable"), 403)
    assert [one["id"] for one in shop.call("GET", "/v1/rules").json()["rules"]] == ["r"]


def test_placement_that_is_switched_off_is_an_empty_slot(shop: Shop) -> None:
    """The page is answered, the slot says why, and nothing is logged for it."""
    shop.call("PATCH", "/v1/placements/home", json={"enabled": False})
    slate = page(shop)
    assert (slate["items"], slate["degraded"]) == ([], "disabled")
    answer = shop.call("GET", "/v1/placements/home", scope="publishable")
    assert answer.json()["placements"][0]["degraded"] == "disabled"
