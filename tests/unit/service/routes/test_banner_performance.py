"""How a banner does, over HTTP."""

from tests.unit.service.routes.console_shop import Visitor
from tests.unit.service.routes.samples import Shop, csv_lines


def test_performance_over_http(shop: Shop) -> None:
    """A served banner and its click are read back with a merchandiser's key, apart and by day."""
    shop.call("PUT", "/v1/placements/hero", json={"kind": "banners"})
    banner = {"title": "Garden", "image_url": "/i", "link_url": "/l"}
    shop.call("PUT", "/v1/banners/garden", json=banner)
    body = {"user": {"user_id": "u"}, "placements": [{"id": "hero"}]}
    served = shop.call("POST", "/v1/serve", json=body).json()["placements"][0]
    click = {"event": "click", "event_id": "1", "banner_id": "garden"}
    shop.call("POST", "/v1/events", json={**click, "exposure_id": served["exposure_id"]})
    path = "/v1/banners/garden/performance"
    assert shop.call("GET", path, scope="publishable").status_code == 403
    answer = shop.call("GET", path, scope="merchandiser").json()
    assert (answer["exposures"], answer["clicks"], answer["explored_share"]) == (1, 1, 0.0)
    assert answer["click_rate"]["value"] == 1.0
    assert answer["days"] == [{"day": "2026-01-15", "assigned": 1, "clicks": 1}]
    assert [one["placement_id"] for one in answer["placements"]] == ["hero"]
    assert answer["segments"][0]["segment"] is None
    assert shop.call("GET", "/v1/banners/none/performance").status_code == 404


def test_a_crawler_teaches_nothing_where_there_is_no_rollout(shop: Shop) -> None:
    """Ten pages for a crawler and one for a person are one exposure."""
    shop.call("PUT", "/v1/placements/hero", json={"kind": "banners"})
    banner = {"title": "Garden", "image_url": "/i", "link_url": "/l"}
    shop.call("PUT", "/v1/banners/garden", json=banner)
    for visit in range(11):
        headers = {"user-agent": "Googlebot/2.1" if visit else "Mozilla/5.0"}
        body = {"user": {"anonymous_id": f"v{visit}"}, "placements": [{"id": "hero"}]}
        assert shop.call("POST", "/v1/serve", json=body, headers=headers).status_code == 200
    view = {"event": "view", "event_id": "1", "item_id": "p1", "anonymous_id": "v0"}
    shop.call("POST", "/v1/events", json=view)  # what was served is stored before it
    answer = shop.call("GET", "/v1/banners/garden/performance", scope="merchandiser").json()
    assert answer["exposures"] == 1
    assert answer["days"] == [{"day": "2026-01-15", "assigned": 1, "clicks": 0}]


def test_days_are_a_file_named_after_the_banner(shop: Shop) -> None:
    """In a header of plain letters, and as it is for browsers, which read the second name."""
    banner = {"title": "Größe", "image_url": "/i", "link_url": "/l"}
    shop.call("PUT", "/v1/banners/gr%C3%B6%C3%9Fe", json=banner)
    file = Visitor(shop).get("/console/banners/gr%C3%B6%C3%9Fe/days.csv")
    assert csv_lines(file) == ["day,served,clicks"]
    assert file.headers["content-disposition"] == (
        "attachment; filename=\"gr__e-days.csv\"; filename*=UTF-8''gr%C3%B6%C3%9Fe-days.csv"
    )
