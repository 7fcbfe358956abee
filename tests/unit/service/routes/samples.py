"""An app on a temporary home with one key of each scope."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import httpx
from litestar.testing import TestClient

from service.app import create_app
from service.control.keys import Scope, create_key
from service.services import STATE_KEY, Services
from service.settings import Settings

NOW_MS = 1_768_435_200_000


class Shop:
    """A running app, its services and its keys."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.services: Services = client.app.state[STATE_KEY]
        self.keys = {
            scope: create_key(
                self.services.control_store, scope=scope, name=scope, actor="tester", now_ms=NOW_MS
            ).key
            for scope in get_args(Scope)
        }
        self.services.current.refresh()

    def call(
        self, method: str, path: str, *, scope: str | None = "admin", **options: Any
    ) -> httpx.Response:
        """Send a request with the key of a scope, or without one."""
        headers = dict(options.pop("headers", {}))
        if scope is not None:
            headers["Authorization"] = f"Bearer {self.keys[scope]}"
        return self.client.request(method, path, headers=headers, **options)


def open_client(home: Path) -> TestClient:
    """Make a client of an app whose clock stands still; an exception in the app is a 500."""
    app = create_app(Settings(home=home), now_ms=lambda: NOW_MS)
    return TestClient(app, raise_server_exceptions=False)
