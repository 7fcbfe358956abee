"""The stream that tells clients to fetch again: one hub a worker, one line a change.

What may change an answer is a document of the control plane, or the time, where a schedule begins
or ends. Both are in the id of an event, which is the same in every worker.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable

import msgspec

from models.errors import CapacityError
from service.control.configuration import Configuration

KEEP_ALIVE_S = 15.0
CLOCK_POLL_S = 0.25
_RETRY_MS = (1_000, 5_000)
"""Clients come back after a random time between these, so that a restart is not a stampede."""


class ChangeHub:
    """Knows the newest change and wakes whoever waits for one."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        now_ms: Callable[[], int],
        max_clients: int,
        show_clients: Callable[[int], None] = lambda _n: None,
        revision_in: Callable[[Configuration], int] = lambda one: one.flags_revision,
    ) -> None:
        self._configuration = configuration
        self._revision_in = revision_in
        self._now_ms = now_ms
        self._max_clients = max_clients
        self._show_clients = show_clients
        self._retry = random.Random()
        self._changed = asyncio.Event()
        self._is_closed = False
        self._seen = self.newest()
        self.n_clients = 0

    def newest(self) -> str:
        """Name the state of the flags: the revision and the last moment of a schedule."""
        configuration = self._configuration()
        passed = bisect_right(configuration.turning_points_ms, self._now_ms())
        last_ms = configuration.turning_points_ms[passed - 1] if passed else 0
        return f"{self._revision_in(configuration)}-{last_ms}"

    def wake(self) -> None:
        """Tell clients if anything has changed; call it in the event loop."""
        newest = self.newest()
        if newest != self._seen:
            self._seen = newest
            self._changed.set()
            self._changed = asyncio.Event()

    async def watch_clock(self) -> None:
        """Tell clients when a schedule begins or ends, until cancelled."""
        while True:
            await asyncio.sleep(CLOCK_POLL_S)
            self.wake()

    def close(self) -> None:
        """End every stream, so that a worker can stop."""
        self._is_closed = True
        self._changed.set()

    def open_stream(self, last_event_id: str | None) -> AsyncIterator[bytes]:
        """Begin a stream after the event that the client saw last.

        Raises
        ------
        CapacityError
            If as many clients listen as the settings allow.
        """
        if self.n_clients >= self._max_clients or self._is_closed:
            raise CapacityError(
                f"{self.n_clients} clients listen for changes in this worker; at most "
                f"{self._max_clients} do (ENDCAP_CHANGE_CLIENTS); poll meanwhile"
            )
        return self._stream(last_event_id)

    async def _stream(self, sent: str | None) -> AsyncIterator[bytes]:
        # Whoever connects for the first time is told once, or a change between its fetch and its
        # connection would be lost. A client that left before the first line is never counted.
        self.n_clients += 1
        self._show_clients(self.n_clients)
        try:
            yield f"retry: {self._retry.randint(*_RETRY_MS)}\n: connected\n\n".encode()
            while not self._is_closed:
                changed = self._changed
                newest = self.newest()
                if newest != sent:
                    sent = newest
                    yield self._event(newest)
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await changed.wait()
                except TimeoutError:
                    yield b": keep-alive\n\n"
        finally:
            self.n_clients -= 1
            self._show_clients(self.n_clients)

    def _event(self, event_id: str) -> bytes:
        data = {
            "type": "refetchEvaluation",
            "etag": event_id,
            "lastModified": self._now_ms() // 1000,
        }
        return b"id: %b\ndata: %b\n\n" % (event_id.encode(), msgspec.json.encode(data))


def revision_of(event_id: str) -> int:
    """Read the revision out of the id of an event; 0 from anything else."""
    revision = event_id.split("-", maxsplit=1)[0]
    is_number = revision.isascii() and revision.isdigit() and len(revision) <= 18
    return int(revision) if is_number else 0
