"""uvicorn's protocol with a door for pages: what can be answered at once needs no task.

A request for a page is held until its body is there. If the app then has the answer it is written
in one piece; if not, or if anything about the request is out of the ordinary, uvicorn hears the
request from its beginning and goes its usual way. A whole request whose head was answered before
does without the parser, too. What it saves is in docs/adr/0010-hot-path.md.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.protocol.gathered_answers import gathered_answers
from service.protocol.impatient_protocol import ImpatientProtocol
from service.protocol.known_heads import KnownHeads, Request
from service.protocol.spare_descriptors import REFUSAL

if TYPE_CHECKING:  # it loads far more than the supervisor of workers needs
    from service.protocol.sender import Sender

MAX_HELD = 65_536
"""Bytes of a body; a longer one is no ordinary request."""

MAX_HELD_S = 1.0
"""For the rest of a body; who waits longer for it is the app, which loses patience in the end."""

Headers = list[tuple[bytes, bytes]]
Answer = tuple[bytes, bytes]
"""Lines of headers, each with its end, and the body."""


class Pages(Protocol):
    """An app that can answer some requests without waiting."""

    heads: KnownHeads
    """Of its requests, on whatever connection."""

    def refuses(self, transport: asyncio.BaseTransport) -> bool:
        """Say whether a new connection has to go."""
        ...

    def read_sender(self, headers: Headers) -> Sender:
        """Read what answering wants to know of the headers."""
        ...

    def answer_at_once(self, request: Request) -> Answer | None:
        """Return headers and body of an answer with status 200, or nothing."""
        ...


class PageProtocol(ImpatientProtocol):
    """One connection."""

    short: ClassVar[tuple[bytes, ...]] = b"/v1/serve", b"/v1/placements/"
    """How the addresses begin that may be answered without a task."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pages = app = _pages_of(self.app)
        self._refuses = (lambda _: False) if app is None else app.refuses
        if self.root_path or self.limit_concurrency is not None:
            self.pages = None  # whose rules are uvicorn's
        self._held: bytes | None = None
        self._let_go_later: asyncio.TimerHandle | None = None
        self._is_between = True
        """Whether the parser waits for the first byte of a request."""
        self._n_begun = 0
        self._answered: Request | None = None
        self._is_refused = False
        """Whether the app was asked and needs the usual way."""
        self._answered_s = 0.0
        self._gathered = gathered_answers(self.loop)
        self._lines_of: Headers | None = None
        self._lines = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection, or refuse it; the transport calls this."""
        super().connection_made(transport)
        if self._refuses(transport):
            transport.write(REFUSAL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Read what came; the transport calls this."""
        pages = self.pages
        request = None if pages is None or not self._is_between else pages.heads.read(data)
        if (
            request is None
            or not self._is_free()
            or self.transport.is_closing()
            or not self.answer_known(request, data)
        ):
            self.parse(data)

    def answer_known(self, request: Request, data: bytes) -> bool:
        """Answer a whole request with a known head, sent as `data`; say whether that was it."""
        assert self.pages is not None
        answer = self.pages.answer_at_once(request)
        if answer is None:
            self.refuse_known()
            return False
        self.take_head()
        self.write_known(b"200 OK", answer)
        return True

    def write_known(self, status: bytes, answer: Answer) -> None:
        """Write the answer to a request that the parser has not read."""
        self._gathered.write(self.transport, self._message(status, answer))
        self.server_state.total_requests += 1
        self.note_answer()
        if self.timeout_keep_alive_task is None:
            self._keep_alive_for(self.timeout_keep_alive)

    def note_answer(self) -> None:
        """Note that the connection is in use.

        A timer that rings too early costs less than one that is set anew for each request.
        """
        self._answered_s = self.loop.time()

    def refuse_known(self) -> None:
        """Let the request that is parsed next go the usual way: the app was asked."""
        self._is_refused = True

    def parse(self, data: bytes) -> None:
        """Have the parser read what came."""
        self._gathered.flush()  # whatever comes of it is written behind
        was_between = self._is_between
        self._n_begun = 0
        super().data_received(data)
        self._is_refused = False
        answered, self._answered = self._answered, None
        if answered is not None and was_between and self._n_begun == 1:
            assert self.pages is not None
            self.pages.heads.keep(data, answered)
        if self._held is not None and self._let_go_later is None:
            self._let_go_later = self.loop.call_later(MAX_HELD_S, self._hold_no_longer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was held; the transport calls this."""
        self._take_held()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Note that a request begins; the parser calls this."""
        self._is_between = False
        self._n_begun += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Hold a request that may be for a page; the parser calls this."""
        if self.pages is not None and not self._is_refused and self._is_ordinary():
            self.take_head()
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
            self.take_body()
            self._held += body

    def on_message_complete(self) -> None:
        """Answer at once, or let uvicorn do it; the parser calls this."""
        self._is_between = self.parser.should_keep_alive() and not self.parser.should_upgrade()
        if self._held is not None:
            assert self.pages is not None
            sender = self.pages.read_sender(self.headers)
            request = Request(self.parser.get_method(), self.url, sender, self._held)
            answer = self.pages.answer_at_once(request)
            if answer is not None:
                self._take_held()
                self._answered = request
                self.transport.write(self._message(b"200 OK", answer))
                self.on_response_complete()
                return
            if self.keeps_head_of(request):
                self._answered = request
            self._let_go()
        super().on_message_complete()

    def keeps_head_of(self, request: Request) -> bool:
        """Say whether the head of a request that goes the usual way may be known from now on."""
        return False

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nothing came on for a while; its timer calls this."""
        left_s = self._answered_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0 and not self.transport.is_closing():
            self._keep_alive_for(left_s)
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Stop once the request that is under way, if there is one, has been answered."""
        if self._held is not None:
            self._let_go()
        self._gathered.flush()
        super().shutdown()

    def eof_received(self) -> bool:  # type: ignore[override]  # as in `ImpatientProtocol`
        """Write what waits, for the transport may close behind it; it calls this."""
        self._gathered.flush()
        return super().eof_received()

    def _keep_alive_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _is_free(self) -> bool:
        """Whether nothing is under way, so that an answer may be written now."""
        cycle: RequestResponseCycle | None = self.cycle
        return (
            (cycle is None or cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
        )

    def _is_ordinary(self) -> bool:
        return (
            self.url.startswith(self.short)
            and self._is_free()
            and not self.expect_100_continue
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

    def _message(self, status: bytes, answer: Answer) -> bytes:
        defaults = self.server_state.default_headers  # another list each second, with the date
        if defaults is not self._lines_of:
            self._lines = b"".join(b"%b: %b\r\n" % header for header in defaults)
            self._lines_of = defaults
        lines, body = answer
        return b"".join((b"HTTP/1.1 ", status, b"\r\n", self._lines, lines, b"\r\n", body))


def _pages_of(app: object) -> Pages | None:
    """Find the app that answers pages behind uvicorn's own wrappers."""
    for _ in range(3):
        if hasattr(app, "answer_at_once"):
            return cast("Pages", app)
        app = getattr(app, "app", None)
    return None
