"""Connections to an app without a network, over a transport that keeps what is written."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.protocol.known_heads import EVENTS, KnownHeads, Request
from service.protocol.sender import Sender, read_sender


class Transport(asyncio.Transport):
    """Keeps what is written, until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        """Keep it."""
        if not self.is_closed:
            self.written += data

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self.is_closed

    def close(self) -> None:
        """Close it."""
        self.is_closed = True

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


def half_close(protocol: asyncio.Protocol, transport: Transport) -> None:
    """Have a protocol hear that nothing more will come, and do what it says, as transports do."""
    if not protocol.eof_received():
        transport.close()


@dataclass
class EchoApp:
    """Says what it was asked: at once if it can, and else as an ASGI app, which says the same."""

    heads: KnownHeads = field(default_factory=KnownHeads)
    at_once: list[Request] = field(default_factory=list)
    events: list[Request] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    """That the usual way was told of."""

    def refuses(self, transport: asyncio.BaseTransport) -> bool:
        """Refuse no connection."""
        return False

    def read_sender(self, headers: list[tuple[bytes, bytes]]) -> Sender:
        """Read the headers as the service does."""
        return read_sender(headers)

    def answer_at_once(self, request: Request) -> tuple[bytes, bytes] | None:
        """Answer what is asked in the usual way, and any body but ``wait``."""
        if request.method not in (b"GET", b"POST") or b"#" in request.target:
            return None
        if request.body == b"wait" or request.target == EVENTS:
            return None
        self.at_once.append(request)
        body = _echo(request.method, request.target, request.sender, request.body)
        return b"content-length: %d\r\n" % len(body), body

    def knows_events(self, request: Request) -> bool:
        """Take any events in."""
        return request.method == b"POST" and request.target == EVENTS

    def begin_events(
        self,
        request: Request,
        done: Callable[[tuple[bytes, bytes] | None, BaseException | None], None],
    ) -> bool:
        """Answer three turns of the loop later, unless it is ``fail``; not ``wait``."""
        if request.body == b"wait":
            return False
        self.events.append(request)
        body = _echo(request.method, request.target, request.sender, request.body)
        answer = b"content-length: %d\r\n" % len(body), body
        failed = OSError(request.body) if request.body == b"fail" else None
        _later(3, lambda: done(None if failed else answer, failed))
        return True

    def note_failure(self, scope: Any, failure: BaseException) -> None:
        """Have the usual way know."""
        scope["state"]["failure"] = failure

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer everything."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        sender = read_sender(scope["headers"])
        target = scope["raw_path"] + query
        answer = _echo(scope["method"].encode(), target, sender, body)
        headers = [(b"content-length", b"%d" % len(answer))]
        status = 202 if target == EVENTS else 200
        if "failure" in scope["state"]:
            self.failures.append(scope["state"]["failure"])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def _later(turns: int, act: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(act) if turns == 0 else loop.call_soon(_later, turns - 1, act)


def _echo(method: bytes, target: bytes, sender: Sender, body: bytes) -> bytes:
    return repr((method, target.rstrip(b"?"), sender, body)).encode()


class Outcome(NamedTuple):
    """What became of a connection."""

    written: bytes
    is_closed: bool
    n_answered: int


async def connect(
    kind: type[HttpToolsProtocol], app: Any, parts: Sequence[bytes], *, turns: int = 8
) -> Outcome:
    """Send parts over a new connection, each some turns of the loop after the one before."""
    config = uvicorn.Config(
        app, http=kind, ws="none", interface="asgi3", log_config=None, date_header=False
    )
    config.load()
    state, transport = ServerState(), Transport()
    protocol = kind(config=config, server_state=state, app_state={})
    protocol.connection_made(transport)
    for part in parts:
        if not transport.is_closed and part:
            protocol.data_received(part)
        for _ in range(turns):
            await asyncio.sleep(0)
    protocol.connection_lost(None)
    return Outcome(transport.written, transport.is_closed, state.total_requests)
