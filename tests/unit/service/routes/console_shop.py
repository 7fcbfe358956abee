"""Someone in the console: signed in, looking at pages, sending their forms."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.unit.service.routes.samples import Shop


class Visitor:
    """Who signed in with the key of a scope; another one signs out whoever was."""

    def __init__(self, shop: Shop, scope: str = "merchandiser") -> None:
        self.shop = shop
        shop.client.cookies.clear()
        self.post_raw("/console/sign-in", key=shop.keys[scope])
        found = re.search(r'name="form-token" content="(\w+)"', self.get("/console").text)
        assert found is not None
        self.token = found[1]
        self._cookies = dict(shop.client.cookies)

    def get(self, path: str) -> httpx.Response:
        """Look at a page."""
        return self.shop.client.get(path, follow_redirects=False)

    def post(self, path: str, *, part: bool = False, **fields: Any) -> httpx.Response:
        """Send a form of a page."""
        self.shop.client.cookies.update(self._cookies)
        headers = {"x-requested-with": "console"} if part else {}
        return self.post_raw(path, headers, form_token=self.token, **fields)

    def post_raw(
        self, path: str, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        """Send a form as it is."""
        return self.shop.client.post(path, data=fields, headers=headers, follow_redirects=False)
