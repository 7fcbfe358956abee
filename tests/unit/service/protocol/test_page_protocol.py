"""The door for pages: whole requests are answered in one piece, all others as ever."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.protocol.known_heads import KnownHeads, Request
from service.protocol.page_protocol import MAX_HELD, PageProtocol
from service.protocol.sender import Sender, read_sender
from service.protocol.spare_descriptors import REFUSAL
from tests.unit.service.protocol.connections import Transport

PAGE = b"POST /v1/serve HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\n"
JSON = b"content-type: application/json\r\ncontent-length: 3\r\n"


class App:
    """Answers at once what says so, and the rest as an ASGI app."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.is_full = is_full
        self.heads = KnownHeads()
        self.at_once: list[tuple[bytes, bytes, bytes]] = []
        self.heard: list[bytes] = []

    def refuses(self, transport: asyncio.BaseTransport) -> bool:
        """Refuse no connection, unless told to."""
        return self.is_full

    def read_sender(self, headers: list[tuple[bytes, bytes]]) -> Sender:
        """Read the headers as the service does."""
        return read_sender(headers)

    def answer_at_once(self, request: Request) -> tuple[bytes, bytes] | None:
        """Answer any body but ``wait``."""
        self.at_once.append((request.method, request.target, request.body))
        return None if request.body == b"wait" else (JSON, b"one")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer everything."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.heard.append(body)
        headers = [(b"content-length", b"3")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"two"})


def talk(
    *parts: bytes,
    then: Callable[[PageProtocol], object] = lambda _: None,
    is_full: bool = False,
) -> tuple[App, bytes]:
    """Send parts one after the other, and return what came back in the end."""
    app, transport = App(is_full=is_full), Transport()

    async def run() -> None:
        config = uvicorn.Config(app, http=PageProtocol, log_config=None, date_header=False)
        config.load()
        protocol = PageProtocol(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(transport)
        for part in parts:
            protocol.data_received(part)
        then(protocol)
        for _ in range(20):
            await asyncio.sleep(0)
        protocol.connection_lost(None)

    asyncio.run(run())
    return app, transport.written


@pytest.mark.parametrize("cut", [10, len(PAGE), len(PAGE) + 2, len(PAGE) + 4])
def test_page_is_answered_in_one_piece(cut: int) -> None:
    """However the request arrives; the app is asked once, when all of it is there."""
    request = PAGE + b"body"
    app, written = talk(request[:cut], request[cut:])
    assert app.at_once == [(b"POST", b"/v1/serve", b"body")]
    assert app.heard == []
    assert written == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\none"
    )


def test_page_that_has_to_wait_is_heard_from_its_beginning() -> None:
    """The app gets the body that was held."""
    app, written = talk(PAGE + b"wait")
    assert app.heard == [b"wait"]
    assert written.endswith(b"two")


def test_pages_on_one_connection_are_answered_in_order() -> None:
    """Three sent together: the second has to wait, and the third waits for it."""
    app, written = talk(PAGE + b"body" + PAGE + b"wait" + PAGE + b"body")
    assert [part[-3:] for part in written.split(b"HTTP/1.1 200 OK")[1:]] == [b"one", b"two", b"two"]
    assert app.heard == [b"wait", b"body"]


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /v1/events HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nbody",
        b"POST /v1/serve HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody",
        b"POST /v1/serve HTTP/1.1\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
        PAGE.replace(b": 4", b": %d" % (MAX_HELD + 1)) + b"x" * (MAX_HELD + 1),
    ],
    ids=["another route", "an old client", "the last request", "a long body"],
)
def test_whatever_is_not_ordinary_goes_the_usual_way(request_: bytes) -> None:
    """The app is not asked for a short answer, and gets the whole body."""
    app, written = talk(request_)
    assert app.at_once == []
    assert app.heard == [request_.rpartition(b"\r\n\r\n")[2]]
    assert b"two" in written


def test_request_that_has_begun_is_answered_though_the_server_stops() -> None:
    """Half of the body came before the stop, half after it."""

    def stop(protocol: PageProtocol) -> None:
        protocol.shutdown()
        protocol.data_received(b"dy")

    app, written = talk(PAGE + b"bo", then=stop)
    assert app.heard == [b"body"]
    assert written.endswith(b"two")


def test_body_that_does_not_come_is_the_affair_of_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is held for ever: the app hears of the request, and so can refuse to wait for it."""
    monkeypatch.setattr("service.protocol.page_protocol.MAX_HELD_S", 0.0)
    app, written = talk(PAGE + b"bo", then=lambda protocol: protocol.loop.call_soon(_end, protocol))
    assert app.at_once == []
    assert app.heard == [b"body"]
    assert written.endswith(b"two")


def _end(protocol: PageProtocol, turns: int = 3) -> None:
    """Send the rest of a body some turns of the loop later."""
    if turns:
        protocol.loop.call_soon(_end, protocol, turns - 1)
    else:
        protocol.data_received(b"dy")


def test_connection_without_room_is_refused_at_once() -> None:
    """It hears so before it has asked for anything, and is closed."""
    app, answer = talk(is_full=True)
    assert answer == REFUSAL
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert f"content-length: {len(body)}".encode() in head
    assert not app.at_once


def test_lost_connection_leaves_nothing_behind() -> None:
    """Half of a body came; its timer ends with the connection."""
    ended: list[PageProtocol] = []
    app, written = talk(PAGE + b"bo", then=ended.append)
    assert (app.at_once, app.heard, written) == ([], [], b"")
    assert ended[0]._let_go_later is None
