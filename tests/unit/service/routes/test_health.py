"""Health tells a load balancer the truth, by GET and by HEAD."""

from datetime import datetime
from pathlib import Path

import pytest

from models.errors import StoreError
from tests.unit.service.routes.samples import NOW_MS, Shop, open_client


def test_health_answers_both_methods(shop: Shop) -> None:
    """Without a key; HEAD has no body."""
    for path in ("/health/live", "/health/ready"):
        assert shop.call("GET", path, scope=None).json() == {"status": "ok"}
        head = shop.call("HEAD", path, scope=None)
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        *("/endcap.js", "/endcap.d.ts", "/v1/rollouts", "/v1/rollouts/r", "/v1/placements"),
        *("/v1/placements/home/config", "/v1/audit?limit=1", "/metrics", "/console/sign-in"),
        *("/v1/rollouts/none", "/nowhere", "/console/assets/console.css"),
    ],
)
def test_head_is_answered_as_get_without_the_body(shop: Shop, path: str) -> None:
    """Status, type, length and tag, wherever GET reads."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1})
    shop.call("PUT", "/v1/placements/home", json={"kind": "items"})
    got, asked = (shop.call(method, path) for method in ("GET", "HEAD"))
    assert (asked.status_code, asked.content) == (got.status_code, b"")
    for name in ("content-type", "etag", "cache-control", "content-length"):
        if (path, name) == ("/metrics", "content-length"):  # which counts the request before
            continue
        assert asked.headers.get(name) == got.headers.get(name), name


def test_head_of_a_stream_ends(shop: Shop) -> None:
    """Changes are told for as long as somebody listens, and who asks for the head does not."""
    asked = shop.call("HEAD", "/v1/changes")
    assert asked.headers["content-type"].startswith("text/event-stream")


def test_head_shows_nobody_a_slate(shop: Shop) -> None:
    """GET of a placement serves it, which is written down; HEAD is refused, and a key asked for."""
    shop.call("PUT", "/v1/placements/home", json={"kind": "items"})
    assert shop.call("HEAD", "/v1/placements/home?user_id=u").status_code == 405
    assert shop.call("HEAD", "/v1/rollouts", scope=None).status_code == 401
    assert shop.call("HEAD", "/v1/serve").status_code == 405


def test_store_that_refuses_is_told_and_takes_no_page_away(shop: Shop) -> None:
    """Still 200, for pages go on: what is wrong, since when, and no word of where the store is."""
    state = shop.services.intake.state
    state.begin()
    state.refuse(StoreError("postgresql://endcap@db.internal/endcap is away"))
    try:
        answer = shop.call("GET", "/health/ready", scope=None)
        assert answer.status_code == 200
        [trouble] = answer.json().pop("troubles")
        assert answer.json()["status"] == "degraded"
        assert trouble["component"] == "event_log"
        assert datetime.fromisoformat(trouble["since"]).timestamp() * 1000 == NOW_MS
        assert "db.internal" not in answer.text
        assert shop.call("HEAD", "/health/ready", scope=None).status_code == 200
        assert shop.call("GET", "/health/live", scope=None).json() == {"status": "ok"}
    finally:
        state.succeed()
    assert shop.call("GET", "/health/ready", scope=None).json() == {"status": "ok"}


def test_worker_starts_without_what_is_learned_of_banners(tmp_path: Path) -> None:
    """It is derived, and read again: a disk that is full kept every worker from starting."""
    (tmp_path / "banners.sqlite").write_text("no database, " * 100)
    with open_client(tmp_path) as client:
        shop = Shop(client)
        assert shop.call("GET", "/health/ready", scope=None).json() == {"status": "ok"}
        assert shop.call("PUT", "/v1/placements/home", json={"kind": "banners"}).status_code == 201
        page = shop.call("POST", "/v1/serve", json={"placements": [{"id": "home"}]})
        assert page.status_code == 200


def test_worker_without_its_store_is_not_ready(shop: Shop) -> None:
    """A store that is no database any more is 503 with its name; the process still lives."""
    store = shop.services.settings.home / "events.sqlite"
    store.rename(store.with_suffix(".gone"))
    store.write_text("no database, " * 100)
    try:
        answer = shop.call("GET", "/health/ready", scope=None)
        assert answer.status_code == 503
        assert "events.sqlite" in answer.json()["detail"]
        assert shop.call("HEAD", "/health/ready", scope=None).status_code == 503
        assert shop.call("GET", "/health/live", scope=None).status_code == 200
    finally:
        store.with_suffix(".gone").replace(store)
