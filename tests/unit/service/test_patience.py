"""A body that never ends is let go; one that does, however slowly, is not."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from service.patience import PatientReceive, SlowBodyError


class Client:
    """Sends pieces, each so many seconds after the one before by the clock it moves."""

    def __init__(self, pieces: Sequence[tuple[float, bool]]) -> None:
        self._pieces = list(pieces)
        self.now_s = 0.0

    async def receive(self) -> Any:
        if not self._pieces:
            await asyncio.Event().wait()
        after_s, more = self._pieces.pop(0)
        self.now_s += after_s
        return {"type": "http.request", "body": b"x", "more_body": more}


def patient(client: Client, **limits: float) -> PatientReceive:
    return PatientReceive(client.receive, lambda: client.now_s, **limits)


def test_whole_body_comes_through() -> None:
    """Three pieces within their time; what comes after the end is waited for without a limit."""
    client = Client([(1, True), (1, True), (1, False), (1_000, False)])

    async def read() -> list[bool]:
        receive = patient(client, whole_s=10)
        return [bool((await receive()).get("more_body")) for _ in range(4)]

    assert asyncio.run(read()) == [True, True, False, False]


def test_body_without_an_end_is_refused() -> None:
    """The next piece never comes: refused, and refused again to whoever asks again."""

    async def read() -> None:
        receive = patient(Client([(1, True)]), piece_s=0.001)
        await receive()
        for _ in range(2):
            with pytest.raises(SlowBodyError, match="does not come to its end"):
                await receive()

    asyncio.run(read())


def test_dripping_body_is_refused() -> None:
    """Each piece comes in time, and all of them together do not."""

    async def read() -> None:
        receive = patient(Client([(6, True)] * 3), whole_s=10)
        await receive()
        await receive()
        with pytest.raises(SlowBodyError):
            await receive()

    asyncio.run(read())
