"""Shares connections out among workers: a new one goes to a worker that has the fewest.

All workers listen on one socket. Left to the system, whoever is quicker takes all that wait: of 256
connections one worker had 13 and another 126, and pages queued while a core was idle. So a worker
takes one at a time, and lets others go first for a moment while it has more than they have.
"""

from __future__ import annotations

import asyncio
import errno
import mmap
import socket
from collections.abc import Callable
from typing import Any

import structlog
import uvloop

PATIENCE_S = 0.002
"""How long a worker with more connections than another leaves a new one to that one."""
FULL_S = 1.0
"""How long nothing is accepted when the process or the system has no room for a connection."""
LATE_S = 0.1
"""How long a connection that was opening when the listener closed has to bring its request."""
_NOBODY = 2**31 - 1
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_GONE = (BlockingIOError, InterruptedError, ConnectionAbortedError)

_log = structlog.get_logger(__name__)


class ServerProtocol(asyncio.Protocol):
    """What uvicorn's protocols are."""

    def shutdown(self) -> None:
        """Close the connection, if a request is under way after its answer."""


ProtocolFactory = Callable[[], ServerProtocol]


class ConnectionBoard:
    """How many connections each worker has: memory that forked processes share."""

    def __init__(self, n_slots: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * n_slots)).cast("i")
        for slot in range(n_slots):
            self.clear(slot)

    def write(self, slot: int, n_connections: int) -> None:
        """Say how many a worker has."""
        self._counts[slot] = n_connections

    def clear(self, slot: int) -> None:
        """Say that no worker is there who could take any."""
        self._counts[slot] = _NOBODY

    def fewest(self) -> int:
        """Return the least that a worker has."""
        return min(self._counts)


class SharedListener:
    """One worker's part in accepting from a socket that several processes listen on."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: ProtocolFactory,
        listener: socket.socket,
        board: ConnectionBoard,
        slot: int,
    ) -> None:
        """Begin to accept; `factory` makes protocols that tell when their connection is lost."""
        self._loop = loop
        self._factory = factory
        self._listener = listener
        self._board = board
        self._slot = slot
        self._n_open = 0
        self._is_closed = False
        self._later: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[Any]] = set()
        listener.setblocking(False)
        board.write(slot, 0)
        self._listen()

    def close(self) -> None:
        """Accept no more; what is open stays open."""
        if self._is_closed:
            return
        self._is_closed = True
        self._board.clear(self._slot)
        self._loop.remove_reader(self._listener)
        if self._later is not None:
            self._later.cancel()

    async def wait_closed(self) -> None:
        """Return at once: connections are waited for by whoever has them."""

    def _listen(self) -> None:
        self._later = None
        self._loop.add_reader(self._listener, self._take_turn)

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        """Hear nothing for a while: the socket stays readable until somebody accepts."""
        self._loop.remove_reader(self._listener)
        self._later = self._loop.call_later(seconds, then)

    def _take_turn(self) -> None:
        if self._n_open > self._board.fewest():
            self._pause(PATIENCE_S, self._accept_and_listen)
        else:
            self._accept()

    def _accept_and_listen(self) -> None:
        self._listen()
        self._accept()

    def _accept(self) -> None:
        """Take one connection, if it is still there."""
        try:
            connection, _ = self._listener.accept()
        except _GONE:
            return
        except OSError as error:
            if error.errno not in _FULL:
                raise
            _log.error("connection_not_accepted", error=str(error), again_after_s=FULL_S)
            self._pause(FULL_S, self._listen)
            return
        self._count(1)
        connection.setblocking(False)
        opening = self._loop.create_task(
            self._loop.connect_accepted_socket(self._make_protocol, connection)
        )
        self._opening.add(opening)
        opening.add_done_callback(self._opened)

    def _opened(self, opening: asyncio.Task[tuple[Any, ServerProtocol]]) -> None:
        self._opening.discard(opening)
        if opening.cancelled() or opening.exception() is not None:
            self._count(-1)
            _log.warning("connection_not_opened", error=repr(opening))
        elif self._is_closed:
            # uvicorn told those it knew to shut down, and would wait for this one in vain.
            _, protocol = opening.result()
            self._loop.call_later(LATE_S, protocol.shutdown)

    def _make_protocol(self) -> ServerProtocol:
        protocol = self._factory()

        def connection_lost(exc: Exception | None) -> None:
            del protocol.connection_lost  # what is left is the method, and no cycle
            self._count(-1)
            protocol.connection_lost(exc)

        protocol.connection_lost = connection_lost  # type: ignore[method-assign]
        return protocol

    def _count(self, n: int) -> None:
        self._n_open += n
        if not self._is_closed:
            self._board.write(self._slot, self._n_open)


class SharingLoop(uvloop.Loop):
    """An event loop whose servers share connections out as a board says."""

    def __init__(self, board: ConnectionBoard, slot: int) -> None:
        super().__init__()
        self._board = board
        self._slot = slot

    async def create_server(  # type: ignore[override]  # uvicorn gives a socket that listens
        self, protocol_factory: ProtocolFactory, *, sock: socket.socket, ssl: None, backlog: int
    ) -> SharedListener:
        """Accept from a socket that is shared with other workers."""
        return SharedListener(self, protocol_factory, sock, self._board, self._slot)
