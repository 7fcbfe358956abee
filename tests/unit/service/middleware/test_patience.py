"""A body that never ends is let go; one that does, however slowly, is not."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from service.middleware.patience import PatientReceive, SlowBodyError


class Client:
    """Sends pieces, each so many seconds after the one before by the clock it moves."""

    def __init__(self, pieces: Sequence[tuple[float, bool]], piece: bytes = b"x") -> None:
        self._pieces = list(pieces)
        self._piece = piece
        self.now_s = 0.0

    async def receive(self) -> Any:
        if not self._pieces:
            await asyncio.Event().wait()
        after_s, more = self._pieces.pop(0)
        self.now_s += after_s
        return {"type": "http.request", "body": self._piece, "more_body": more}


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


@pytest.mark.parametrize(
    ("n_bytes", "n_taken"),
    [
        (1, 7),  # at 60 seconds there are 6 / 1,024 more, at 70 none
        (5_120, 12),  # 60 and 12 times 5
        (1_048_576, 60),  # never more than ten minutes
    ],
)
def test_body_has_as_long_as_it_earns(n_bytes: int, n_taken: int) -> None:
    """A piece every ten seconds: a byte at a time is let go after a minute."""

    async def read() -> int:
        receive = patient(Client([(10, True)] * 100, b"x" * n_bytes))
        for n in range(100):
            try:
                await receive()
            except SlowBodyError:
                return n
        raise AssertionError("it was taken for ever")

    assert asyncio.run(read()) == n_taken


def test_piece_that_is_not_there_is_waited_for() -> None:
    """Several waits lie before it; a failure among them comes through."""

    async def read(failure: Exception | None) -> Any:
        loop = asyncio.get_running_loop()
        waits: list[asyncio.Future[None]] = [loop.create_future() for _ in range(2)]

        async def receive() -> Any:
            for wait in waits:
                await wait
            return {"type": "http.request", "body": b"late", "more_body": False}

        reading: asyncio.Task[Any] = asyncio.create_task(PatientReceive(receive, lambda: 0.0)())
        await asyncio.sleep(0)
        waits[0].set_result(None)
        await asyncio.sleep(0)
        if failure is None:
            waits[1].set_result(None)
        else:
            waits[1].set_exception(failure)
        return (await reading)["body"]

    assert asyncio.run(read(None)) == b"late"
    with pytest.raises(OSError, match="gone"):
        asyncio.run(read(OSError("gone")))


def test_who_is_cancelled_while_waiting_stops_what_waits() -> None:
    """The coroutine that was begun hears of it, and may clean up."""
    heard: list[str] = []

    async def receive() -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    async def read() -> None:
        reading = asyncio.create_task(PatientReceive(receive, lambda: 0.0)())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(read())
    assert heard == ["cancelled"]
