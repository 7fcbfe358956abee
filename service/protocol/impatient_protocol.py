"""uvicorn's protocol, which waits no longer than `HEAD_S` for a head, and takes none of any length.

uvicorn closes a connection that idles between requests, but would wait for the rest of a head, or
for the first byte of a new connection, for ever: whoever opens enough of them shuts others out. And
it would keep a head of any length: whoever sends gigabytes of one takes all memory, without a key.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_S = 30.0
"""Browsers open connections ahead, and open another one when theirs is closed."""
MAX_EMPTY = 65_536
"""Bytes in a row of which neither a whole head nor a part of a body has come; proxies take less."""
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class ImpatientProtocol(HttpToolsProtocol):
    """One connection. Whoever takes from the parser calls `take_head` and `take_body`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_since_s: float | None = None
        """When the connection was opened, or a head began, of which the end has not come yet."""
        self._has_begun = False
        self._n_empty = 0
        """Bytes of which nothing has come yet: of a head, of lines behind a body in chunks."""
        self._look_later: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection; the transport calls this."""
        super().connection_made(transport)
        self._head_since_s = self.loop.time()
        self._look_later = self.loop.call_later(HEAD_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more; the transport calls this."""
        if self._look_later is not None:
            self._look_later.cancel()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn lets all go
        """Say whether to keep a connection on which no more will come; the transport calls this.

        Who sends no more once the request is sent, as `nc` and some proxies do, waits for the
        answer. It looks the same as somebody who is gone, so a stream that has begun ends.
        """
        cycle: RequestResponseCycle | None = self.cycle
        is_owed = (
            cycle is not None
            and not cycle.response_complete
            and not cycle.response_started
            and not cycle.more_body
        )
        if is_owed:
            self.shutdown()
        return is_owed

    def data_received(self, data: bytes) -> None:
        """Have the parser read what came."""
        self._n_empty += len(data)
        super().data_received(data)
        if self._n_empty > MAX_EMPTY and not self.transport.is_closing():
            if self._has_begun and not self._is_answering():
                self.transport.write(TOO_LONG)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Note when a head begins; the parser calls this."""
        if self._head_since_s is None:
            self._head_since_s = self.loop.time()
        self._has_begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that a head is whole; the parser calls this."""
        self.take_head()
        super().on_headers_complete()

    def take_head(self) -> None:
        """Note that a head is whole."""
        self._head_since_s = None
        self._has_begun = False
        self._n_empty = 0

    def on_body(self, body: bytes) -> None:
        """Note that something came; the parser calls this."""
        self.take_body()
        super().on_body(body)

    def take_body(self) -> None:
        """Note that a part of a body has come."""
        self._n_empty = 0

    def _look(self) -> None:
        """Look once in `HEAD_S`, which costs less than a timer for each head."""
        if self.transport.is_closing():
            return
        since_s = self._head_since_s
        if since_s is None or self._is_answering():
            since_s = self.loop.time()
        left_s = since_s + HEAD_S - self.loop.time()
        if left_s > 0:
            self._look_later = self.loop.call_later(left_s, self._look)
            return
        if self._has_begun:
            self.transport.write(TOO_SLOW)
        self.transport.close()

    def _is_answering(self) -> bool:
        """Say whether an answer is under way, behind which the next head may wait."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete
