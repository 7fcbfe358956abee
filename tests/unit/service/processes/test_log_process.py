"""Who keeps the log process, where the system has no room for another one."""

import socket
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.processes.log_process import LogProcess
from service.stores.log_wire import PID_FILE


class Child:
    """Stands for a process that runs until it is told that it has ended."""

    pid = 4_000_001
    stdin = None
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, if it has ended."""
        return self.returncode


def test_log_process_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once; whoever keeps it went down with it, or stopped keeping it without a word."""
    first = Child()
    made: list[Child | OSError] = [
        first,
        *(BlockingIOError(11, "Resource temporarily unavailable") for _ in range(3)),
        Child(),
    ]

    def start(*_arguments: object, **_options: object) -> Child:
        one = made.pop(0)
        if isinstance(one, OSError):
            raise one
        return one

    monkeypatch.setattr(subprocess, "Popen", start)
    with socket.socket(socket.AF_UNIX) as listener, capture_logs() as logs:
        listener.bind(str(tmp_path / "s"))
        kept = LogProcess(tmp_path / "events.sqlite", listener)
        kept.keep()
        first.returncode = -9
        for _ in range(5):
            kept.keep()
    told = [one["event"] for one in logs]
    assert told == ["log_process_ended", "log_process_not_started", "log_process_started"]
    assert "Resource temporarily unavailable" in logs[1]["reason"]
    assert not made
    assert (tmp_path / PID_FILE).read_text() == f"{Child.pid}\n"
