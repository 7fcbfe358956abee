"""The door for events: a whole request with a known head waits for its commit without a task."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.protocol.event_protocol import EventProtocol
from tests.unit.service.protocol.connections import EchoApp, Transport, connect, half_close

HEAD = b"POST /v1/events HTTP/1.1\r\nHost: shop\r\nX-API-Key: k\r\nContent-Length: 4\r\n\r\n"
EVENT = HEAD + b"body"
PAGE = EVENT.replace(b"events", b"serve")
LONG = HEAD.replace(b": 4", b": 70000") + b"x" * 70_000
TURNS = 12
"""Of the event loop, until whatever was sent is answered."""


async def _settle(turns: int = TURNS) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def talk(
    app: EchoApp, act: Callable[[EventProtocol, Transport], Awaitable[None]]
) -> tuple[bytes, bool]:
    """Open a connection on which events were sent before, act, and return what is written then."""

    async def run() -> tuple[bytes, bool]:
        await connect(EventProtocol, app, [EVENT, PAGE], turns=TURNS)
        app.events.clear()
        config = uvicorn.Config(app, http=EventProtocol, log_config=None, date_header=False)
        config.load()
        protocol = EventProtocol(config=config, server_state=ServerState(), app_state={})
        transport = Transport()
        protocol.connection_made(transport)
        await act(protocol, transport)
        written = transport.written, transport.is_closed
        protocol.connection_lost(None)
        return written

    return asyncio.run(run())


def test_known_head_needs_no_parser_and_no_task() -> None:
    """The answer comes when the events are on disk, and not before."""
    app = EchoApp()

    async def act(protocol: EventProtocol, transport: Transport) -> None:
        protocol.data_received(EVENT)
        assert (len(app.events), transport.written) == (1, b"")
        assert not protocol.tasks
        await _settle()
        assert protocol.server_state.total_requests == 1

    written, is_closed = talk(app, act)
    assert written.startswith(b"HTTP/1.1 202 Accepted\r\ncontent-length: ")
    assert not is_closed


@pytest.mark.parametrize("body", [b"body", b"fail"])
@pytest.mark.parametrize(
    "behind",
    [[EVENT], [PAGE], [PAGE, EVENT, HEAD + b"fail"], [EVENT[:30], EVENT[30:]], [LONG, PAGE]],
    ids=["events", "a page", "several", "a cut one", "a long one"],
)
def test_what_comes_meanwhile_is_answered_behind_it(body: bytes, behind: list[bytes]) -> None:
    """As uvicorn does; whether the events before could be stored or not."""
    app = EchoApp()
    parts = [HEAD + body, *behind]

    async def act(protocol: EventProtocol, _: Transport) -> None:
        for part in parts:
            protocol.data_received(part)
        assert len(app.events) == 1
        await _settle(20 * len(parts))

    written, _ = talk(app, act)
    usual = asyncio.run(connect(HttpToolsProtocol, EchoApp(), parts, turns=TURNS))
    assert written == usual.written


def test_app_says_why_events_are_not_stored_and_does_not_try_again() -> None:
    """It hears the request from its beginning; the next one has nothing to do with it."""
    app = EchoApp()

    async def act(protocol: EventProtocol, _: Transport) -> None:
        for body in (b"fail", b"wait", b"body"):
            protocol.data_received(HEAD + body)
            await _settle()

    written, _ = talk(app, act)
    assert [one.body for one in app.events] == [b"fail", b"body"]
    assert [str(one) for one in app.failures] == ["b'fail'"]
    assert written.count(b"202 Accepted") == 3


@pytest.mark.parametrize("body", [b"body", b"fail"])
def test_events_are_answered_though_the_server_stops(body: bytes) -> None:
    """Then the connection is closed; what came behind is not begun."""

    async def act(protocol: EventProtocol, transport: Transport) -> None:
        protocol.data_received(HEAD + body)
        protocol.data_received(PAGE)
        protocol.shutdown()
        assert not transport.is_closed
        await _settle()

    app = EchoApp()
    written, is_closed = talk(app, act)
    assert written.count(b"HTTP/1.1 ") == written.count(b"202 Accepted") == 1
    assert is_closed


def test_nothing_is_written_to_a_client_that_left() -> None:
    """Its events are stored all the same, and the app is not asked again."""

    async def act(protocol: EventProtocol, transport: Transport) -> None:
        protocol.data_received(HEAD + b"fail")
        transport.close()
        await _settle()

    app = EchoApp()
    written, _ = talk(app, act)
    assert (written, len(app.events), app.failures) == (b"", 1, [])


@pytest.mark.parametrize("body", [b"body", b"fail"])
def test_events_are_answered_though_nothing_more_will_come(body: bytes) -> None:
    """Then the connection is closed; whether they could be stored or not."""

    async def act(protocol: EventProtocol, transport: Transport) -> None:
        protocol.data_received(HEAD + body)
        half_close(protocol, transport)
        assert not transport.is_closed
        await _settle()

    written, is_closed = talk(EchoApp(), act)
    assert written.count(b"202 Accepted") == 1
    assert is_closed


def test_connection_that_waits_for_a_commit_is_not_idle() -> None:
    """The timer of idle connections, set long ago, leaves it alone; later it does not."""

    async def act(protocol: EventProtocol, transport: Transport) -> None:
        protocol.data_received(EVENT)
        await _settle()
        protocol.data_received(EVENT)
        protocol._answered_s = 0.0
        protocol.timeout_keep_alive_handler()
        assert not transport.is_closed
        await _settle()
        protocol._answered_s = 0.0
        protocol.timeout_keep_alive_handler()

    written, is_closed = talk(EchoApp(), act)
    assert written.count(b"202 Accepted") == 2
    assert is_closed
