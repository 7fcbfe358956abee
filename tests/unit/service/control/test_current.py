"""The watcher of a worker: what it knows of a store that does not answer."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Event

import pytest
from structlog.testing import capture_logs

from service.control import current
from service.control.current import CurrentConfiguration
from service.stores.control_reader import Changes

SOON_S = 10.0


class HangingReader:
    """A store without a document, which can be made to hang."""

    listen = None

    def __init__(self) -> None:
        self.goes_on = Event()
        self.goes_on.set()

    def data_version(self) -> int:
        """Answer once it goes on."""
        assert self.goes_on.wait(SOON_S)
        return 1

    def follows(self, _revision: int) -> bool:
        """Say yes."""
        return True

    def changes_since(self, _revision: int) -> Changes:
        """Return nothing."""
        return Changes(newest=0, latest={}, written=[], deleted=[], keys=[])

    def close(self) -> None:
        """Do nothing."""


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something to hold."""
    async with asyncio.timeout(SOON_S):
        while not holds():
            await asyncio.sleep(0.001)


def test_store_that_hangs_is_told_before_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a worker would go on as last configured, and say that all is well, for as long."""
    monkeypatch.setattr(current, "SILENT_S", 0.01)
    reader, shown = HangingReader(), list[bool]()
    configuration = CurrentConfiguration(reader, show_reachable=shown.append)

    def is_failing() -> bool:
        return configuration.failing_since_ms is not None

    async def run() -> None:
        watching = asyncio.create_task(configuration.watch(0.001))
        reader.goes_on.clear()
        try:
            await until(lambda: shown == [False])
            assert is_failing()
        finally:
            reader.goes_on.set()
        await until(lambda: shown == [False, True])
        assert not is_failing()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    with capture_logs() as logs:
        asyncio.run(run())
    told = [one["event"] for one in logs]
    assert told[:2] == ["control_refresh_failed", "control_refresh_recovered"]
    assert "has not answered" in logs[0]["reason"]
