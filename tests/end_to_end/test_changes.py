"""Flags on a real server of two workers: a change reaches streams and answers within a second."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.running_server import (
    WITHIN_S,
    RunningServer,
    assert_live_everywhere,
    run_server,
)

CONTEXT = {"context": {"targetingKey": "u1"}}
FLAG = {
    "share": 1,
    "value_type": "boolean",
    "control_value": False,
    "variants": [{"key": "on", "value": True}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Start two workers with one flag."""
    with run_server(tmp_path_factory.mktemp("home"), "--workers", "2") as running:
        running.put("/v1/rollouts/flag", FLAG)
        path = "/ofrep/v1/evaluate/flags/flag"
        assert_live_everywhere(lambda: running.call("POST", path, CONTEXT).status_code == 200)
        yield running


@contextmanager
def listening(server: RunningServer, path: str, **headers: str) -> Iterator[Iterator[str]]:
    """Open a stream and give its events' data, line by line."""
    with (
        httpx.Client(verify=False, timeout=10) as client,
        client.stream("GET", server.address + path, headers=headers) as response,
    ):
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield (line[6:] for line in response.iter_lines() if line.startswith("data: "))


def stream_path(server: RunningServer) -> str:
    """Ask where the stream is, as a provider does."""
    answer = server.call("POST", "/ofrep/v1/evaluate/flags", CONTEXT).json()
    path: str = answer["eventStreams"][0]["endpoint"]["requestUri"]
    return path


def test_kill_reaches_every_stream_and_every_worker(server: RunningServer) -> None:
    """Four streams over two workers hear of a kill within a second, and it holds everywhere."""
    path = stream_path(server)
    with (
        listening(server, path) as first,
        listening(server, path) as second,
        listening(server, path) as third,
        listening(server, "/v1/changes", **{"X-API-Key": server.keys["publishable"]}) as fourth,
    ):
        streams = [first, second, third, fourth]
        before = {json.loads(next(stream))["etag"] for stream in streams}
        begin = time.monotonic()
        server.call("POST", "/v1/rollouts/flag/kill", scope="admin")
        events = [json.loads(next(stream)) for stream in streams]
        assert time.monotonic() - begin < WITHIN_S
    assert {event["type"] for event in events} == {"refetchEvaluation"}
    assert len(before) == 1
    after = {event["etag"] for event in events}
    assert (len(after), after.isdisjoint(before)) == (1, True)

    def is_killed() -> bool:
        answer = server.call("POST", "/ofrep/v1/evaluate/flags/flag", CONTEXT).json()
        return (answer["value"], answer["reason"]) == (False, "DISABLED")

    assert_live_everywhere(is_killed)
    server.call("POST", "/v1/rollouts/flag/resume", scope="admin")


def test_fetch_after_an_event_is_never_older_than_the_event(server: RunningServer) -> None:
    """A worker that is asked with an event's tag looks at the store before it answers."""
    for number in range(10):
        changed = server.call("PATCH", "/v1/rollouts/flag", {"name": f"n{number}"}, scope="admin")
        revision = changed.json()["revision"]
        answer = server.call(
            "POST", f"/ofrep/v1/evaluate/flags?flagConfigEtag={revision}-0", CONTEXT
        ).json()
        assert answer["flags"][0]["metadata"]["revision"] == revision


def test_stream_needs_a_key_or_a_ticket(server: RunningServer) -> None:
    """Without either, or with a forged ticket, 401."""
    for path in ("/v1/changes", "/v1/changes?ticket=key_x.99999.00"):
        assert httpx.get(server.address + path, verify=False, timeout=20).status_code == 401


def test_server_with_streams_stops_at_once(tmp_path: Path) -> None:
    """A stream never ends by itself, and yet SIGTERM drains a worker in seconds, with exit 0."""
    with run_server(tmp_path, "--workers", "2", "--drain-s", "20") as running:
        path = stream_path(running)
        with listening(running, path) as events:
            next(events)
            begin = time.monotonic()
            assert running.stop() == 0
            assert time.monotonic() - begin < 5
            assert list(events) == []
