"""Health tells a load balancer the truth, by GET and by HEAD."""

from datetime import datetime

from models.errors import StoreError
from tests.unit.service.routes.samples import NOW_MS, Shop


def test_health_answers_both_methods(shop: Shop) -> None:
    """Without a key; HEAD has no body."""
    for path in ("/health/live", "/health/ready"):
        assert shop.call("GET", path, scope=None).json() == {"status": "ok"}
        head = shop.call("HEAD", path, scope=None)
        assert (head.status_code, head.content) == (200, b"")


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
