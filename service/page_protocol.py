"""uvicorn's protocol with a door for pages: what can be answered at once needs no task.

A request for a page is held until its body is there. If the app then has the answer it is written
in one piece; if not, or if anything about the request is out of the ordinary, uvicorn hears the
request from its beginning and goes its usual way. What it saves is in docs/adr/0010-hot-path.md.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HELD = 65_536
"""Bytes of a body; a longer one is no ordinary request."""

MAX_HELD_S = 1.0
"""For the rest of a body; who waits longer for it is the app, which loses patience in the end."""

Headers = list[tuple[bytes, bytes]]


class Pages(Protocol):
    """An app that can answer some requests without waiting."""

    def answer_at_once(
        self, method: bytes, target: bytes, headers: Headers, body: bytes
    ) -> tuple[Headers, bytes] | None:
        """Return headers and body of an answer with status 200, or nothing."""
        ...


class PageProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pages = _pages_of(self.app)
        self._held: bytes | None = None
        self._let_go_later: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Read what came; the transport calls this."""
        super().data_received(data)
        if self._held is not None and self._let_go_later is None:
            self._let_go_later = self.loop.call_later(MAX_HELD_S, self._hold_no_longer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was held; the transport calls this."""
        self._take_held()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Hold a request that may be for a page; the parser calls this."""
        if self._pages is not None and self._is_ordinary():
            self._held = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; the parser calls this."""
        if self._held is None:
            super().on_body(body)
        elif len(self._held) + len(body) > MAX_HELD:
            self._let_go()
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        """Answer at once, or let uvicorn do it; the parser calls this."""
        if self._held is not None:
            assert self._pages is not None
            method = self.parser.get_method()
            found = self._pages.answer_at_once(method, self.url, self.headers, self._held)
            if found is not None:
                self._take_held()
                self._write(*found)
                return
            self._let_go()
        super().on_message_complete()

    def shutdown(self) -> None:
        """Stop once the request that is under way, if there is one, has been answered."""
        if self._held is not None:
            self._let_go()
        super().shutdown()

    def _is_ordinary(self) -> bool:
        if not self.url.startswith((b"/v1/serve", b"/v1/placements/")):
            return False
        cycle: RequestResponseCycle | None = self.cycle
        is_free = cycle is None or cycle.response_complete
        return (
            is_free
            and not self.pipeline
            and not self.expect_100_continue
            and not self.flow.write_paused
            and not self.root_path
            and self.limit_concurrency is None
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )

    def _hold_no_longer(self) -> None:
        if self._held is not None and not self.transport.is_closing():
            self._let_go()

    def _let_go(self) -> None:
        """Tell uvicorn what was held back."""
        held = self._take_held()
        super().on_headers_complete()
        if held:
            super().on_body(held)

    def _take_held(self) -> bytes | None:
        if self._let_go_later is not None:
            self._let_go_later.cancel()
            self._let_go_later = None
        held, self._held = self._held, None
        return held

    def _write(self, headers: Headers, body: bytes) -> None:
        lines = [b"HTTP/1.1 200 OK\r\n"]
        for name, value in (*self.server_state.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join((*lines, b"\r\n", body)))
        self.on_response_complete()


def _pages_of(app: object) -> Pages | None:
    """Find the app that answers pages behind uvicorn's own wrappers."""
    for _ in range(3):
        if hasattr(app, "answer_at_once"):
            return cast("Pages", app)
        app = getattr(app, "app", None)
    return None
