"""Answers that are ready in one turn of the event loop, written to their connections together.

Each write to a client that sleeps wakes it, which costs the writer as much as the rest of the
write: clients on the same machine, a proxy above all, are woken by the system within it. So the
first answer of a turn is written at once, and those that follow while the client is awake anyway
are gathered until the turn ends or `MAX_WAIT_S` is over. What it brings is in
docs/adr/0010-hot-path.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

MAX_WAIT_S = 0.001
"""An answer that becomes ready so long after the last write takes all with it."""


class GatheredAnswers:
    """What one event loop has to write; each answer is whole, and they go out in their order."""

    __slots__ = ("_is_in_turn", "_monotonic_s", "_waiting", "_written_s")

    def __init__(self, monotonic_s: Callable[[], float] = time.perf_counter) -> None:
        self._monotonic_s = monotonic_s
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []
        self._is_in_turn = False
        self._written_s = 0.0

    def write(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Write an answer now, or before the turn ends.

        Whoever writes something else to the transport, or closes it, calls `flush` before.
        """
        if not self._is_in_turn:
            self._is_in_turn = True
            asyncio.get_running_loop().call_soon(self._end_turn)
            transport.write(answer)
            self._written_s = self._monotonic_s()
            return
        self._waiting.append((transport, answer))
        if self._monotonic_s() - self._written_s > MAX_WAIT_S:
            self.flush()

    def flush(self) -> None:
        """Write what waits; nothing to those who went away."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for transport, answer in waiting:
            if not transport.is_closing():
                transport.write(answer)
        self._written_s = self._monotonic_s()

    def _end_turn(self) -> None:
        self._is_in_turn = False
        self.flush()


def gathered_answers(loop: asyncio.AbstractEventLoop) -> GatheredAnswers:
    """Return what all connections of an event loop write to."""
    gathered = _of_loops.get(loop)
    if gathered is None:
        gathered = _of_loops[loop] = GatheredAnswers()
    return gathered


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, GatheredAnswers] = WeakKeyDictionary()
