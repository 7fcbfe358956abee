"""A connection on which no whole head comes is closed, however it is kept from coming."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.protocol.impatient_protocol import HEAD_S, MAX_EMPTY, TOO_LONG, TOO_SLOW
from service.protocol.page_protocol import PageProtocol
from tests.unit.service.protocol.connections import EchoApp, Transport, half_close

PAGE = b"POST /v1/serve HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nbody"
OTHER = b"GET /other HTTP/1.1\r\nHost: shop\r\n\r\n"


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be put forward."""

    skipped_s = 0.0

    def time(self) -> float:
        """Tell the time, with what was skipped."""
        return super().time() + self.skipped_s


class Connection:
    """One connection to an app, and a clock."""

    def __init__(self, app: Any) -> None:
        config = uvicorn.Config(app, http=PageProtocol, log_config=None, date_header=False)
        config.timeout_keep_alive = 3_600
        config.load()
        self.transport = Transport()
        self.protocol = PageProtocol(config=config, server_state=ServerState(), app_state={})
        self.protocol.connection_made(self.transport)

    async def send(self, data: bytes) -> None:
        """Send bytes, and let the app answer."""
        self.protocol.data_received(data)
        await self.turn()

    async def pass_time(self, seconds: float) -> None:
        """Let the time pass at once."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkippingLoop)
        loop.skipped_s += seconds
        await self.turn()

    async def turn(self) -> None:
        """Let the event loop do what is due."""
        for _ in range(20):
            await asyncio.sleep(0)


def on_a_connection(use: Callable[[Connection], Awaitable[None]], app: Any = None) -> Transport:
    """Use a connection, and return its end."""

    async def run() -> Transport:
        connection = Connection(EchoApp() if app is None else app)
        await use(connection)
        connection.protocol.connection_lost(None)
        return connection.transport

    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(run())


def test_a_connection_that_says_nothing_is_closed() -> None:
    """Without an answer, for nothing was asked; not a moment before its time."""

    async def use(connection: Connection) -> None:
        await connection.pass_time(HEAD_S - 1)
        assert not connection.transport.is_closed
        await connection.pass_time(2)
        assert connection.transport.is_closed

    assert on_a_connection(use).written == b""


@pytest.mark.parametrize("before", [(), (PAGE,), (PAGE, PAGE), (OTHER,), (PAGE, OTHER)])
def test_a_head_that_does_not_end_is_refused(before: tuple[bytes, ...]) -> None:
    """The first of a connection or a later one, though a byte comes now and then."""

    async def use(connection: Connection) -> None:
        for request in before:
            await connection.send(request)
            await connection.pass_time(HEAD_S + 1)  # as often as it likes between requests
            assert not connection.transport.is_closed
        await connection.send(b"GET /v1/placements/a HTTP/1.1\r\n")
        for _ in range(5):
            await connection.pass_time(HEAD_S / 2)
            if not connection.transport.is_closed:
                await connection.send(b"x: y\r\n")
        assert connection.transport.is_closed

    written = on_a_connection(use).written
    assert written.endswith(TOO_SLOW)
    assert written.count(b"HTTP/1.1 ") == len(before) + 1


@pytest.mark.parametrize("request_", [PAGE, OTHER])
def test_a_head_in_two_pieces_is_heard(request_: bytes) -> None:
    """Even if a look comes between the two, long after the connection was opened."""

    async def use(connection: Connection) -> None:
        await connection.send(request_)
        await connection.pass_time(HEAD_S - 1)
        await connection.send(request_[:20])
        await connection.pass_time(2)
        await connection.send(request_[20:])
        await connection.pass_time(10 * HEAD_S)
        assert not connection.transport.is_closed

    assert on_a_connection(use).written.count(b"200 OK") == 2


def test_a_long_answer_is_not_cut_off() -> None:
    """While it is under way the next head may wait."""
    ended = asyncio.Event()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await ended.wait()
        await send({"type": "http.response.body", "body": b"the end"})

    async def use(connection: Connection) -> None:
        await connection.send(OTHER)
        await connection.send(OTHER[:10])
        for _ in range(5):
            await connection.pass_time(HEAD_S + 1)
        assert not connection.transport.is_closed
        ended.set()
        await connection.turn()

    assert b"the end" in on_a_connection(use, stream).written


@pytest.mark.parametrize("before", [(), (PAGE,), (OTHER, PAGE)])
def test_who_sends_no_more_is_answered(before: tuple[bytes, ...]) -> None:
    """All that was asked, and then the connection is closed."""

    async def use(connection: Connection) -> None:
        for request in (*before, OTHER):
            connection.protocol.data_received(request)
        half_close(connection.protocol, connection.transport)
        assert not connection.transport.is_closed
        await connection.turn()
        assert connection.transport.is_closed

    assert on_a_connection(use).written.count(b"200 OK") == len(before) + 1


@pytest.mark.parametrize(
    "data", [b"", OTHER[:20], PAGE, PAGE[:-1], PAGE.replace(b"/v1/serve", b"/other")[:-1]]
)
def test_who_sends_no_more_and_is_owed_nothing_is_let_go(data: bytes) -> None:
    """Nothing was asked, it was answered, or it can never be whole."""

    async def use(connection: Connection) -> None:
        if data:
            connection.protocol.data_received(data)
        half_close(connection.protocol, connection.transport)
        assert connection.transport.is_closed

    assert on_a_connection(use).written.count(b"200 OK") == (data == PAGE)


def test_stream_ends_when_its_client_sends_no_more() -> None:
    """Nobody may be there any more, and it has no end of its own."""

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass

    async def use(connection: Connection) -> None:
        await connection.send(OTHER)
        half_close(connection.protocol, connection.transport)
        assert connection.transport.is_closed

    on_a_connection(use, stream)


LONG = b"x" * 4_096


@pytest.mark.parametrize("before", [(), (PAGE,), (OTHER, PAGE)])
@pytest.mark.parametrize(
    "begin", [b"GET /", b"GET /a HTTP/1.1\r\ncookie: ", b"POST /v1/serve HTTP/1.1\r\nHost: s\r\n"]
)
def test_a_head_of_any_length_is_refused(begin: bytes, before: tuple[bytes, ...]) -> None:
    """However it is long: its address, one header, or many; nobody keeps the pieces of it."""

    async def use(connection: Connection) -> None:
        for request in before:
            await connection.send(request)
        await connection.send(begin)
        n_pieces = 0
        while not connection.transport.is_closed:
            await connection.send(b"x: " + LONG + b"\r\n" if begin.endswith(b"\n") else LONG)
            n_pieces += 1
            assert n_pieces <= MAX_EMPTY // len(LONG) + 1
        assert len(begin) + n_pieces * (len(LONG) + 5) > MAX_EMPTY

    written = on_a_connection(use).written
    assert written.endswith(TOO_LONG)
    assert written.count(b"HTTP/1.1 ") == len(before) + 1


@pytest.mark.parametrize("piece", [b"t: " + LONG + b"\r\n", LONG])
def test_lines_of_any_length_behind_a_body_in_chunks_are_refused(piece: bytes) -> None:
    """The parser reads them as headers, too."""
    begin = b"POST /v1/serve HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def use(connection: Connection) -> None:
        await connection.send(begin + b"4\r\nbody\r\n0\r\nt: ")
        for _ in range(MAX_EMPTY // len(LONG)):
            assert not connection.transport.is_closed
            await connection.send(piece)
        await connection.send(piece)
        assert connection.transport.is_closed

    assert b"200 OK" not in on_a_connection(use).written


@pytest.mark.parametrize("target", [b"/v1/serve", b"/other"])
def test_no_length_of_a_body_is_taken_for_that_of_a_head(target: bytes) -> None:
    """In pieces, and with requests behind each other whose heads come in two pieces."""
    body = LONG * (2 * MAX_EMPTY // len(LONG))
    head = b"POST %b HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % (target, len(body))
    n_requests = 3

    async def use(connection: Connection) -> None:
        data = (head + body) * n_requests
        for at in range(0, len(data), len(LONG)):
            await connection.send(data[at : at + len(LONG)])
            assert not connection.transport.is_closed

    assert on_a_connection(use).written.count(b"200 OK") == n_requests
