"""Connections shared out among processes that listen on one socket, here two listeners of one."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from typing import cast

import pytest

from service.protocol.connection_sharing import (
    PATIENCE_S,
    ConnectionBoard,
    ServerProtocol,
    SharedListener,
    SharingLoop,
)

FEW, MANY = 0, 1


class Echo(ServerProtocol):
    """Says which listener took the connection."""

    transport: asyncio.WriteTransport

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say it at once."""
        self.transport = cast("asyncio.WriteTransport", transport)
        self.transport.write(self.name)

    def shutdown(self) -> None:
        """Close, as uvicorn's protocols do when no request is under way."""
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it."""
        self.is_lost = True


@pytest.fixture
def board() -> ConnectionBoard:
    """A board for two."""
    return ConnectionBoard(2)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def run(board: ConnectionBoard, body: object) -> None:
    """Run a coroutine function in a loop that has the first slot."""
    with asyncio.Runner(loop_factory=lambda: SharingLoop(board, FEW)) as runner:
        runner.run(body())  # type: ignore[operator]


async def ask(listener: socket.socket) -> tuple[bytes, asyncio.StreamWriter]:
    """Connect, and return who answered."""
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    return await reader.readexactly(1), writer


def test_connections_are_shared_out_evenly(
    board: ConnectionBoard, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eight that come at once each of two takes four, and the board says so."""
    # Whoever has more takes one all the same after its patience: a loop that the system keeps from
    # the processor for longer than that would share out unevenly.
    monkeypatch.setattr("service.protocol.connection_sharing.PATIENCE_S", 0.2)

    async def body() -> None:
        loop = asyncio.get_running_loop()
        again = listener.dup()
        a = SharedListener(loop, lambda: Echo(b"a"), listener, board, FEW)
        b = SharedListener(loop, lambda: Echo(b"b"), again, board, MANY)
        found = await asyncio.gather(*(ask(listener) for _ in range(8)))
        assert sorted(name for name, _ in found) == [b"a"] * 4 + [b"b"] * 4
        assert board.fewest() == 4
        for _, writer in found:
            writer.close()
            await writer.wait_closed()
        a.close()
        b.close()
        again.close()

    run(board, body)


def test_who_has_more_takes_it_when_the_others_do_not(
    board: ConnectionBoard, listener: socket.socket
) -> None:
    """Another worker has fewer and does not come: the connection waits a moment, not for ever."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        only = SharedListener(loop, lambda: Echo(b"a"), listener, board, FEW)
        board.write(MANY, 0)
        _, first = await ask(listener)
        began_s = loop.time()
        name, second = await asyncio.wait_for(ask(listener), 5)
        assert name == b"a"
        assert loop.time() - began_s >= PATIENCE_S / 2
        for writer in (first, second):
            writer.close()
            await writer.wait_closed()
        only.close()

    run(board, body)


def test_lost_connections_are_not_counted(board: ConnectionBoard, listener: socket.socket) -> None:
    """What was open and is no more makes room; the protocol still hears of it."""

    async def body() -> None:
        made: list[Echo] = []

        def factory() -> Echo:
            made.append(Echo(b"a"))
            return made[-1]

        only = SharedListener(asyncio.get_running_loop(), factory, listener, board, FEW)
        _, writer = await ask(listener)
        assert board.fewest() == 1
        writer.close()
        await writer.wait_closed()
        while not made[0].is_lost:
            await asyncio.sleep(0)
        assert board.fewest() == 0
        only.close()
        assert board.fewest() > 10**6  # nobody is there

    run(board, body)


def test_no_room_for_a_connection_is_a_pause(
    board: ConnectionBoard, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without file descriptors it stops accepting for a while, instead of spinning."""

    class Full:
        n_asked = 0

        def __getattr__(self, name: str) -> object:
            return getattr(listener, name)

        def accept(self) -> None:
            self.n_asked += 1
            raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("service.protocol.connection_sharing.FULL_S", 60.0)
    full = Full()

    async def body() -> None:
        loop = asyncio.get_running_loop()
        only = SharedListener(loop, lambda: Echo(b"a"), full, board, FEW)  # type: ignore[arg-type]
        _, writer = await asyncio.open_connection(*listener.getsockname())
        while not full.n_asked:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert full.n_asked == 1
        writer.close()
        await writer.wait_closed()
        only.close()

    run(board, body)


def test_connection_that_opens_while_the_listener_closes_is_shut_down(
    board: ConnectionBoard, listener: socket.socket
) -> None:
    """It is answered and then closed: a server that stops waits until it has no connections."""

    async def body() -> None:
        only: SharedListener

        def factory() -> Echo:
            only.close()  # it was accepted, and is not made yet
            return Echo(b"a")

        only = SharedListener(asyncio.get_running_loop(), factory, listener, board, FEW)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            assert await asyncio.wait_for(reader.read(), 5) == b"a"  # and then its end
        finally:
            writer.close()
            await writer.wait_closed()

    run(board, body)


def test_loop_serves_with_a_shared_listener(
    board: ConnectionBoard, listener: socket.socket
) -> None:
    """What uvicorn asks of its loop."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Echo(b"a"), sock=listener, ssl=None, backlog=10)
        name, writer = await ask(listener)
        assert name == b"a"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(board, body)
