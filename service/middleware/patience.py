"""How long a body may take to arrive, so that a client that never ends its request is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from litestar.types import Receive
from litestar.types.asgi_types import HTTPReceiveMessage

from models.errors import InputError

PIECE_S = 20.0
"""For the next piece of a body."""
START_S = 60.0
"""For all of it, and a second more for every `LEAST_BYTES` that have come."""
LEAST_BYTES = 1_024
WHOLE_S = 600.0
"""For all of it, however much has come: the longest list at half a megabyte a second."""


class SlowBodyError(InputError):
    """A body does not come to its end."""

    code = "body_too_slow"


class PatientReceive:
    """Waits for the pieces of one body, each and all together, no longer than it may."""

    __slots__ = ("_clock_s", "_end_s", "_is_whole", "_last_s", "_piece_s", "_receive")

    def __init__(
        self,
        receive: Receive,
        clock_s: Callable[[], float],
        piece_s: float = PIECE_S,
        whole_s: float = WHOLE_S,
    ) -> None:
        self._receive = receive
        self._clock_s = clock_s
        self._piece_s = piece_s
        now_s = clock_s()
        self._last_s = now_s + whole_s
        self._end_s = min(self._last_s, now_s + START_S)
        self._is_whole = False

    async def __call__(self) -> HTTPReceiveMessage:
        """Return the next piece; after the last one, as a stream does, wait for the client to go.

        Raises
        ------
        SlowBodyError
            If it does not come in time; asked again it says so again.
        """
        if self._is_whole:
            return await self._receive()  # type: ignore[return-value]  # of an HTTP request
        wait_s = min(self._piece_s, self._end_s - self._clock_s())
        message: Any = None
        if wait_s > 0:
            rest = self._receive().__await__()
            try:
                waits_for = next(rest)
            except StopIteration as end:  # nearly always it is there, and a timeout costs 20 µs
                message = end.value
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        message = await _Begun(rest, waits_for)
        if message is None:
            self._end_s = self._clock_s()
            raise SlowBodyError(
                "the body does not come to its end; send it in one go, and packed if it is long"
            )
        self._is_whole = not message.get("more_body", False)
        if not self._is_whole:
            earned_s = len(message.get("body", b"")) / LEAST_BYTES
            self._end_s = min(self._last_s, self._end_s + earned_s)
        return message  # type: ignore[no-any-return]  # as above


class _Begun:
    """The rest of a coroutine that was begun by hand and has to wait for something."""

    __slots__ = ("_rest", "_waits_for")

    def __init__(self, rest: Generator[Any, Any, Any], waits_for: Any) -> None:
        self._rest = rest
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._waits_for
        while True:
            failure: BaseException | None = None
            try:
                yield waits_for
            except BaseException as error:  # such as being cancelled, which the rest must hear
                failure = error
            try:
                waits_for = next(self._rest) if failure is None else self._rest.throw(failure)
            except StopIteration as end:
                return end.value
