"""An app on a temporary home with one key of each scope."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import httpx
from litestar.testing import TestClient

from service.app import Shape, build_app, set_up, shape_of
from service.control.keys import Scope, create_key
from service.measured import MeasuredApp
from service.services import STATE_KEY, Services
from service.settings import Settings

NOW_MS = 1_768_435_200_000


class HandClock:
    """A clock that stands at `NOW_MS` until it is moved."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        """Read it."""
        return self.now_ms


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

    def advance(self, by_ms: int) -> None:
        """Let time pass."""
        clock = self.services.now_ms
        assert isinstance(clock, HandClock)
        clock.now_ms += by_ms

    def call(
        self, method: str, path: str, *, scope: str | None = "admin", **options: Any
    ) -> httpx.Response:
        """Send a request with the key of a scope, or without one."""
        headers = dict(options.pop("headers", {}))
        if scope is not None:
            headers["Authorization"] = f"Bearer {self.keys[scope]}"
        return self.client.request(method, path, headers=headers, **options)


def csv_lines(file: httpx.Response) -> list[str]:
    """Read a file of the console as spreadsheets do: its first sign says that it is UTF-8."""
    assert file.content.startswith(b"\xef\xbb\xbf")
    return file.content.decode("utf-8-sig").splitlines()


_idle: dict[Shape, list[MeasuredApp]] = {}
"""Apps that have stopped: to build one takes far longer than most tests."""


class _Client(TestClient[MeasuredApp]):
    """Leaves its app to the next test once it has stopped."""

    def __init__(self, settings: Settings) -> None:
        self._kept = _idle.setdefault(shape_of(settings), [])
        app = self._kept.pop() if self._kept else build_app(settings)
        set_up(app, settings, now_ms=HandClock())
        super().__init__(app, raise_server_exceptions=False)

    def __exit__(self, *reason: Any) -> None:
        super().__exit__(*reason)
        self._kept.append(self.app)


def open_client(home: Path, **settings: Any) -> TestClient:
    """Make a client of an app whose clock moves only by hand; an exception in it is a 500.

    A page has ten seconds unless a test says otherwise: on a busy machine the usual 50 ms now and
    then leave only a less personal tier, which is not what is asked here.
    """
    return _Client(Settings(home=home, **{"deadline_ms": 10_000, **settings}))
