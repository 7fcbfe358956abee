"""A key of the scope `server` sends events, as the shop's server tells them, and does no more."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from service.middleware.access import scope_of
from tests.unit.service.routes.samples import Shop

EVENT = {"event": "view", "item_id": "p1", "user_id": "u1"}
CALLS = ("track", "page", "screen", "identify", "group", "alias")
SENDING = {
    "/v1/events",
    "/v1/batch",
    "/v1/b",
    "/v1/import",
    "/beacon/v1/batch",
    "/mp/collect",
    *(f"/v1/{name}" for call in CALLS for name in (call, call[0])),
}


def test_only_what_takes_events_in_is_for_servers(strict_shop: Shop) -> None:
    """Nothing that reads or changes anything declares that scope."""
    app = strict_shop.client.app
    while not isinstance(app, Litestar):
        app = app.app
    found = {
        route.path
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, HTTPRouteHandler) and scope_of(handler) == "server"
    }
    assert found == SENDING


def test_server_stores_events_and_says_who_a_visitor_is(shop: Shop) -> None:
    """By the short way, by the framework's, and with a client library, whose write key it is."""
    for path in ("/v1/events", "/v1/events?sent_at=1"):
        answer = shop.call("POST", path, scope="server", json={**EVENT, "event_id": path})
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    body = {"type": "identify", "userId": "u1", "anonymousId": "a1", "messageId": "m1"}
    answer = shop.client.post("/v1/identify", json=body, auth=(shop.keys["server"], ""))
    assert (answer.status_code, answer.json()["rejected"]) == (200, 0)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/serve", {"user": {"user_id": "u1"}, "placements": [{"id": "x"}]}),
        ("GET", "/v1/placements/x?user_id=u1", None),
        ("POST", "/ofrep/v1/evaluate/flags", {"context": {"targetingKey": "u1"}}),
        ("GET", "/v1/changes", None),
        ("GET", "/v1/privacy", None),
        ("GET", "/schema/openapi.json", None),
        ("GET", "/sourceConfig", None),
        ("GET", "/v1/rollouts", None),
        ("GET", "/v1/keys", None),
        ("GET", "/v1/users/u1", None),
        ("PUT", "/v1/placements/x", {"kind": "items"}),
        ("GET", "/metrics", None),
    ],
)
def test_server_may_nothing_else(strict_shop: Shop, method: str, path: str, body: Any) -> None:
    """The refusal names both scopes."""
    options = {} if body is None else {"json": body}
    answer = strict_shop.call(method, path, scope="server", **options)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "has the scope 'server'" in answer.json()["detail"]


def test_key_of_a_server_is_refused_in_an_address(strict_shop: Shop) -> None:
    """Logs keep addresses, and who has the key could tell of orders."""
    path = f"/v1/events?key={strict_shop.keys['server']}"
    answer = strict_shop.client.post(path, json=EVENT)
    assert (answer.status_code, "send a publishable key" in answer.text) == (403, True)
