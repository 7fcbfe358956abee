"""Which events the shop's server told of is known by the key that they came with."""

import sqlite3

from service.stores.event_schema import EventFlag
from tests.unit.service.routes.samples import Shop

ORDER = {"event": "purchase", "item_id": "p1", "order_id": "o1", "price": 5}
MESSAGE = {
    "type": "track",
    "event": "Order Completed",
    "properties": {"order_id": "o1", "products": [{"product_id": "p1", "price": 5}]},
}


def test_key_that_no_page_has_is_a_servers(shop: Shop) -> None:
    """By the short way, the framework's and a client library's; a publishable key is a page's."""
    for scope in ("server", "publishable", "merchandiser", "trainer", "support", "admin"):
        for path, body in (
            ("/v1/events", ORDER | {"event_id": f"short {scope}"}),
            ("/v1/events?sent_at=1", ORDER | {"event_id": f"long {scope}"}),
            ("/v1/track", MESSAGE | {"messageId": f"library {scope}"}),
        ):
            assert shop.call("POST", path, scope=scope, json=body).status_code in (200, 202)
    with sqlite3.connect(shop.services.settings.home / "events.sqlite") as connection:
        rows = connection.execute("SELECT event_id, flags FROM events").fetchall()
    connection.close()
    assert len(rows) == 18
    by_page = [event_id for event_id, flags in rows if not flags & EventFlag.BY_SERVER]
    assert sorted(by_page) == ["library publishable.0", "long publishable", "short publishable"]
