"""The framework remembers nothing that a request said."""

import sys
from collections.abc import Iterator
from typing import Any

from tests.unit.service.routes.samples import Shop

OF_ROUTES = "normalize_headers"
"""It remembers the headers that routes declare, and is asked with nothing else."""


def memories(shop: Shop) -> Iterator[Any]:
    """Find whatever remembers its answers, in all of the framework that is loaded."""
    yield shop.client.app.asgi_router.handle_routing
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "litestar":
            continue
        classes = [one for one in vars(module).values() if isinstance(one, type)]
        for holder in (module, *classes):
            for one in list(vars(holder).values()):
                remembering = getattr(one, "__func__", one)
                if hasattr(remembering, "cache_info") and "litestar" in remembering.__module__:
                    yield remembering


def test_nothing_of_a_request_is_remembered(shop: Shop) -> None:
    """Neither a query, a path, a cookie nor a form, of an answer or of a refusal."""
    who = "erika%40example.org"
    shop.call("PUT", "/v1/placements/home", json={"kind": "items"})
    shop.client.cookies.set("endcap_session", "secret")
    for path, scope in (
        (f"/v1/placements/home?user_id={who}&item_ids=a&item_ids=b", "admin"),
        (f"/v1/users/{who}", "admin"),
        (f"/v1/shoppers/{who}", None),
        (f"/console/rollouts?x={who}", None),
        (f"/v1/projects/{who}/settings", None),
        (f"/nothing/{who}?{who}", None),
    ):
        shop.call("GET", path, scope=scope, follow_redirects=False)
    shop.client.post("/console/sign-in", data={"key": shop.keys["admin"]})
    found = {one.__name__: one.cache_info().currsize for one in memories(shop)}
    assert {"_handle_routing", "parse_query_string", "from_components"} <= found.keys()
    found.pop(OF_ROUTES, None)
    assert found == dict.fromkeys(found, 0)
