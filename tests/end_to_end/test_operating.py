"""Operating a real server: starting, stopping, dying, keys and metrics over several workers."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.end_to_end.running_server import (
    ENDCAP,
    SETTLED_S,
    RunningServer,
    assert_live_everywhere,
    run_server,
    wait_until,
)

STOP_S = 30


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Run two workers without a model."""
    with run_server(tmp_path_factory.mktemp("home"), "--workers", "2") as server:
        yield server


@contextmanager
def started(home: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Start a server and give its process, address and admin key; kill it if it is left running."""
    process = subprocess.Popen(
        [*ENDCAP, "serve", "--json", "--home", str(home), "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        announced = json.loads(process.stdout.readline())
        yield process, announced["address"], announced["keys"][0]["key"]
    finally:
        process.kill()
        process.wait(STOP_S)
        process.stdout.close()


def send(address: str, text: str) -> socket.socket:
    """Open a connection and send a part of a request on it."""
    target = urlsplit(address)
    assert target.hostname is not None
    connection = socket.create_connection((target.hostname, target.port or 0), timeout=STOP_S)
    connection.sendall(text.encode())
    return connection


def is_refused(address: str) -> bool:
    """Say whether nobody listens; a connection that is made and then reset does not say so."""
    try:
        send(address, "").close()
    except ConnectionRefusedError:
        return True
    return False


def test_revoked_key_is_refused_in_every_worker(server: RunningServer) -> None:
    """Within a second a key that is made opens, and one that is revoked no longer does."""
    made = server.call(
        "POST", "/v1/keys", {"scope": "merchandiser", "name": "Ann"}, scope="admin"
    ).json()
    server.keys["ann"] = made["key"]
    assert_live_everywhere(
        lambda: server.call("GET", "/v1/banners", scope="ann").status_code == 200
    )
    server.call("DELETE", f"/v1/keys/{made['info']['id']}", scope="admin")
    assert_live_everywhere(
        lambda: server.call("GET", "/v1/banners", scope="ann").status_code == 401
    )


def test_metrics_are_those_of_all_workers(server: RunningServer) -> None:
    """Thirty requests over both workers are thirty, whichever worker is asked."""
    for _ in range(30):
        server.call("GET", "/v1/rollouts", scope="admin")
    wanted = 'endcap_request_seconds_count{method="GET",route="/v1/rollouts",status="200"} 30.0'

    def are_all_counted() -> bool:
        return wanted in server.call("GET", "/metrics", scope="admin").text

    # A worker counts a request once it has answered it, and another one reads of it after that.
    wait_until(are_all_counted, SETTLED_S)
    assert all(are_all_counted() for _ in range(10))


@pytest.mark.parametrize(
    "item_id", ["AB/12", "a//b", "..%2f", "%2Fx", "ä?#&", "/lead", "dot/../dot"]
)
def test_item_id_survives_its_path(server: RunningServer, item_id: str) -> None:
    """A percent-encoded id is the id, whatever it holds."""
    path = f"/v1/items/{quote(item_id, safe='')}"
    changed = server.call("PATCH", path, {"hidden": True}, scope="admin")
    assert changed.status_code == 200, changed.text
    assert changed.json()["item_id"] == item_id


@pytest.mark.untimed
@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_finishes_what_is_in_flight(tmp_path: Path, workers: str) -> None:
    """A request whose body is on its way is answered, while new connections are refused; exit 0."""
    with started(tmp_path, "--workers", workers) as (process, address, key):
        body = '{"kind":"items"}'
        connection = send(
            address,
            f"PUT /v1/placements/home HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        )
        # Asked for the body, one knows that the request has been taken up.
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body[:5].encode())
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(address), STOP_S / 2)
        assert process.poll() is None
        connection.sendall(body[5:].encode())
        with connection:
            assert connection.recv(4096).startswith(b"HTTP/1.1 201")
        assert process.wait(STOP_S) == 0


@contextmanager
def hangups(handler: signal.Handlers) -> Iterator[None]:
    """Start processes that ignore a closed terminal or do not, however the tests were started."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.untimed
def test_closed_terminal_is_a_stop(tmp_path: Path) -> None:
    """SIGHUP to a single worker: what waits is written, and the process ends as with SIGTERM."""
    with hangups(signal.SIG_DFL), started(tmp_path) as (process, address, key):
        answer = httpx.get(f"{address}/health/ready", headers={"X-API-Key": key}, timeout=STOP_S)
        assert answer.status_code == 200
        process.send_signal(signal.SIGHUP)
        assert process.wait(STOP_S) == 0


@pytest.mark.untimed
def test_closed_terminal_is_nothing_to_who_was_told_not_to_hear_it(tmp_path: Path) -> None:
    """As under nohup: SIGHUP is ignored from the start, and stays so; SIGTERM still ends it."""
    with hangups(signal.SIG_IGN), started(tmp_path) as (process, address, _):
        wait_until(lambda: not is_refused(address), STOP_S)
        assert httpx.get(f"{address}/health/ready", timeout=STOP_S).status_code == 200
        process.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert httpx.get(f"{address}/health/ready", timeout=STOP_S).status_code == 200
        process.terminate()
        assert process.wait(STOP_S) == 0


@pytest.mark.untimed
def test_workers_do_not_outlive_their_supervisor(tmp_path: Path) -> None:
    """When the supervisor is killed its workers stop, and the port is free again."""
    with started(tmp_path, "--workers", "2") as (process, address, _):
        assert httpx.get(address + "/health/ready", timeout=STOP_S).status_code == 200
        os.kill(process.pid, signal.SIGKILL)
        process.wait(STOP_S)
        end = time.monotonic() + STOP_S
        target = urlsplit(address)
        while True:
            try:
                socket.create_connection((target.hostname, target.port), timeout=1).close()
            except OSError:
                break
            assert time.monotonic() < end, "a worker still listens"
            time.sleep(0.1)


@pytest.mark.untimed
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit, which is Linux's")
def test_worker_near_its_limit_of_files_refuses_connections_and_goes_on(tmp_path: Path) -> None:
    """Hundreds of connections for which there are no descriptors: those that have one are served,

    events are stored and files opened; who comes late hears 503. Once they leave all is as before.
    """
    with run_server(tmp_path) as server, ExitStack() as stack:
        pid = server.process.pid
        n_used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        limit = n_used + 130
        resource.prlimit(
            pid, resource.RLIMIT_NOFILE, (limit, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1])
        )
        headers = {"X-API-Key": server.keys["admin"]}
        early = stack.enter_context(
            httpx.Client(base_url=server.address, headers=headers, timeout=STOP_S)
        )
        assert early.get("/health/ready").status_code == 200
        target = urlsplit(server.address)
        with ExitStack() as idle:
            place = target.hostname, target.port or 0
            waiting = [
                idle.enter_context(socket.create_connection(place, timeout=STOP_S))
                for _ in range(300)
            ]
            # The last of them has an answer without a question.
            refused = waiting[-1].recv(100)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert len(list(Path(f"/proc/{pid}/fd").iterdir())) <= limit - 40
            event = {"event": "view", "event_id": "late", "item_id": "p1", "user_id": "u"}
            assert early.post("/v1/events", json=event).status_code == 202
            # Reports, the erasure of a person and the key's document open files of their own.
            assert early.get("/v1/users/u").status_code == 200
            assert early.delete("/v1/users/u").json()["is_verified"]
            metrics = early.get("/metrics").text
            [found] = re.findall(r"^endcap_connections_refused_total (\S+)$", metrics, re.MULTILINE)
            assert float(found) >= 100
        wait_until(lambda: _is_served(server), STOP_S)
    log = (tmp_path / "server.log").read_text()
    assert "connections_refused" in log
    assert "Too many open files" not in log


def _is_served(server: RunningServer) -> bool:
    try:
        return server.call("POST", "/v1/events", []).status_code != 503
    except httpx.TransportError:
        return False
