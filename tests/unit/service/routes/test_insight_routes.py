"""Insights and the catalogue over HTTP."""

from typing import Any

import pytest

from tests.snapshots import ITEM_IDS, tiny_snapshot
from tests.unit.service.routes.samples import Shop
from tests.unit.service.routes.test_privacy import event, send, wait_for_exposures


@pytest.fixture
def trained(shop: Shop) -> Shop:
    """A shop with the tiny model live."""
    version = shop.services.artifacts.publish(tiny_snapshot())
    shop.services.artifacts.promote(version)
    shop.services.live_model.refresh()
    return shop


def test_insights_tell_of_orders_and_slates(trained: Shop) -> None:
    """One slate was served and one order of 12 came in; the catalogue has eleven items."""
    trained.call("PUT", "/v1/placements/home", json={"kind": "items", "count": 3})
    page = {"user": {"user_id": "u"}, "placements": [{"id": "home"}]}
    trained.call("POST", "/v1/serve", scope="publishable", json=page)
    send(trained, event("e1", "u", None, event="purchase", price=6.0, quantity=2.0, channel="web"))
    wait_for_exposures(trained.services.settings.home, 1)
    found = trained.call("GET", "/v1/insights?days=7", scope="merchandiser").json()
    assert (found["first_day"], found["last_day"], len(found["days"])) == (
        "2026-01-09",
        "2026-01-15",
        7,
    )
    assert found["orders"]["average_order_value"] == 12.0
    assert {step["stage"]: step["exposures"] for step in found["funnel"]}["served"] == 1
    assert (found["coverage"]["items"], found["coverage"]["shown"]) == (len(ITEM_IDS), 3)
    assert found["channels"][0]["channel"] == "web"
    [week] = found["readiness"]["weeks"]
    assert (week["slates"], week["with_id"], week["could_be_personal"]) == (1, 1.0, 0.0)
    assert found["readiness"]["sentence"].startswith("Too early")


def test_catalogue_is_searched_and_read(trained: Shop) -> None:
    """A hidden item is listed as such at once; an id with a slash or an umlaut is found by path."""
    assert trained.call("PATCH", "/v1/items/mug", json={"hidden": True}).status_code == 200
    found = trained.call("GET", "/v1/catalogue?status=hidden", scope="merchandiser").json()
    assert (found["total"], found["items"][0]["id"]) == (1, "mug")
    item = trained.call("GET", "/v1/catalogue/items/k%C3%B6pek", scope="merchandiser").json()
    assert (item["item"]["id"], item["item"]["is_unmatched"]) == ("köpek", True)
    summary = trained.call("GET", "/v1/catalogue/summary", scope="merchandiser").json()
    assert (summary["items"], summary["hidden"], summary["cold"]) == (11, 1, 1)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/catalogue/items/unknown", 404, "not in the catalogue"),
        ("/v1/catalogue?status=lost", 400, "status"),
        ("/v1/catalogue?limit=0", 400, "limit"),
        ("/v1/insights?days=366", 400, "days"),
    ],
)
def test_refusals_name_the_value(trained: Shop, path: str, status: int, words: str) -> None:
    """An unknown item and a parameter out of its bounds are refused with what would be right."""
    answer = trained.call("GET", path, scope="merchandiser")
    assert answer.status_code == status
    assert words in answer.text


def test_catalogue_without_a_model_says_what_to_do(shop: Shop) -> None:
    """Before the first training there is nothing to search; insights answer all the same."""
    answer = shop.call("GET", "/v1/catalogue", scope="merchandiser")
    assert (answer.status_code, "endcap train" in answer.json()["detail"]) == (404, True)
    found: dict[str, Any] = shop.call("GET", "/v1/insights", scope="merchandiser").json()
    assert (found["orders"]["orders"], found["coverage"]["share"], found["segments"]) == (
        0,
        None,
        [],
    )


@pytest.mark.parametrize("path", ["/v1/insights", "/v1/catalogue", "/v1/catalogue/summary"])
def test_shops_pages_may_not_read_them(shop: Shop, path: str) -> None:
    """A publishable key stands in web pages."""
    assert shop.call("GET", path, scope="publishable").status_code == 403
