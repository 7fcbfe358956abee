"""A process that cannot stop by itself ends all the same."""

import signal
from threading import Event

import uvicorn
from structlog.testing import capture_logs

from service.processes.stop_limit import PunctualServer, stop_limit_s

SOON_S = 10.0


def test_server_that_hangs_when_it_is_told_to_stop_ends() -> None:
    """Once, though it is told twice, with a word, and so that whoever started it sees it failed."""
    ended, codes = Event(), list[int]()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    server = PunctualServer(uvicorn.Config("nothing:here"), limit_s=0.01, end=end)
    with capture_logs() as logs:
        for _ in range(2):
            server.handle_exit(signal.SIGTERM, None)
        assert server.should_exit
        assert ended.wait(SOON_S)
    assert (codes, [one["event"] for one in logs]) == ([1], ["server_killed"])


def test_limit_has_room_for_requests_and_then_for_queues() -> None:
    """Each may take the drain time."""
    config = uvicorn.Config("nothing:here", timeout_graceful_shutdown=20)
    assert stop_limit_s(config) == 60
