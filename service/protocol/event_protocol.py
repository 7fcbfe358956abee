"""The protocol that takes events in without a task, too, and answers when they are on disk.

A whole request with a known head waits here for its commit. Whatever else comes on its connection
waits behind it, as answers are due in order. If the events cannot be stored, uvicorn hears the
request from its beginning, and the app says why. What it saves is in docs/adr/0010-hot-path.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from service.protocol.known_heads import EVENTS, Request
from service.protocol.page_protocol import Answer, PageProtocol

if TYPE_CHECKING:  # it loads far more than the supervisor of workers needs
    from litestar.types import HTTPScope

Done = Callable[[Answer | None, BaseException | None], None]
"""Takes the answer with status 202, or why there is none."""


class Events(Protocol):
    """An app that can take in some events without a task."""

    def knows_events(self, request: Request) -> bool:
        """Say whether `begin_events` may take in a request with this head."""
        ...

    def begin_events(self, request: Request, done: Done) -> bool:
        """Take in events and call `done`, later, with the answer or why there is none."""
        ...

    def note_failure(self, scope: HTTPScope, failure: BaseException) -> None:
        """Have the app say why the events of a request were not stored, and not try again."""
        ...


class EventProtocol(PageProtocol):
    """One connection."""

    short = (*PageProtocol.short, EVENTS)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting: bytes | None = None
        """The request that waits for its commit, as it was sent."""
        self._behind: list[bytes] = []
        """What came meanwhile."""
        self._failure: BaseException | None = None
        self._is_stopping = False

    def data_received(self, data: bytes) -> None:
        """Read what came; the transport calls this."""
        if self._waiting is None:
            super().data_received(data)
        else:
            self._behind.append(data)
            self.flow.pause_reading()

    def eof_received(self) -> bool:  # type: ignore[override]  # as in `ImpatientProtocol`
        """Wait for the commit, though nothing more will come; the transport calls this."""
        if self._waiting is None:
            return super().eof_received()
        self.shutdown()
        return True

    def answer_known(self, request: Request, data: bytes) -> bool:
        """Answer a request for a page, or take in events; say whether that was it."""
        if request.target != EVENTS:
            return super().answer_known(request, data)
        if not self._events.begin_events(request, self._answer):
            self.refuse_known()
            return False
        self.take_head()
        self._waiting = data
        return True

    def keeps_head_of(self, request: Request) -> bool:
        """Say that the next request with events like these need not be parsed."""
        return self._events.knows_events(request)

    def on_message_begin(self) -> None:
        """Note that a request begins; the parser calls this."""
        super().on_message_begin()
        failure, self._failure = self._failure, None
        if failure is not None:
            self._events.note_failure(cast("HTTPScope", self.scope), failure)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nothing came on for a while; its timer calls this."""
        if self._waiting is not None:
            self.note_answer()
        super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Stop once the request that is under way, if there is one, has been answered."""
        if self._waiting is None:
            super().shutdown()
        else:
            self._is_stopping = True

    @property
    def _events(self) -> Events:
        return cast("Events", self.pages)

    def _answer(self, answer: Answer | None, failure: BaseException | None) -> None:
        data, self._waiting = self._waiting, None
        assert data is not None
        if self.transport.is_closing():  # the client went away
            return
        if answer is not None:
            self.write_known(b"202 Accepted", answer)
        else:
            self._failure = failure
            self.refuse_known()
            self.parse(data)
        if self._is_stopping:
            super().shutdown()
            return
        self._read_on()

    def _read_on(self) -> None:
        behind, self._behind = b"".join(self._behind), []
        if behind:
            self.flow.resume_reading()
            self.data_received(behind)
