"""Health tells a load balancer the truth, by GET and by HEAD."""

from tests.unit.service.routes.samples import Shop


def test_health_answers_both_methods(shop: Shop) -> None:
    """Without a key; HEAD has no body."""
    for path in ("/health/live", "/health/ready"):
        assert shop.call("GET", path, scope=None).json() == {"status": "ok"}
        head = shop.call("HEAD", path, scope=None)
        assert (head.status_code, head.content) == (200, b"")


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
