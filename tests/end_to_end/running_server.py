"""A real `endcap serve` on a free port of this machine, for as long as a test needs it."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.child_processes import children

MAIN = "import endcap; endcap.main()"
ENDCAP = (sys.executable, "-c", MAIN)
"""The command line, before the name of a command."""
READY_S = 60.0
STOP_S = 30.0
SETTLED_S = 10.0
WITHIN_S = 1.0
"""How soon a change must be live in every worker."""


class RunningServer:
    """The home, address, keys and process of a server."""

    def __init__(
        self, home: Path, address: str, keys: dict[str, str], process: subprocess.Popen[str]
    ) -> None:
        self.home = home
        self.address = address
        self.keys = keys
        self.process = process

    def kill(self) -> None:
        """End the server and all its workers at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_S)

    def stop(self) -> int:
        """Ask the server to drain and end, and return its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_S)

    def call(
        self, method: str, path: str, body: object = None, *, scope: str = "publishable"
    ) -> httpx.Response:
        """Send one request on a connection of its own, so any worker may answer."""
        headers = {"X-API-Key": self.keys[scope]}
        # without `verify=False` each connection would load the machine's certificates, in vain
        with httpx.Client(verify=False, timeout=20) as client:
            return client.request(method, self.address + path, json=body, headers=headers)

    def serve(self, *placements: str, **request: object) -> list[dict[str, Any]]:
        """Return the slates of a page."""
        body = {"placements": [{"id": one} for one in placements], **request}
        response = self.call("POST", "/v1/serve", body)
        assert response.status_code == 200, response.text
        slates: list[dict[str, Any]] = response.json()["placements"]
        return slates

    def put(self, path: str, document: object) -> None:
        """Store a document, and wait until every worker answers with it."""
        response = self.call("PUT", path, document, scope="admin")
        assert response.status_code in (200, 201), response.text
        revision = response.json()["revision"]
        wait_until(lambda: self._revision() >= revision, SETTLED_S)

    def assert_live(self) -> None:
        """Assert that the newest change is in effect in every worker within `WITHIN_S`."""
        with closing(sqlite3.connect(self.home / "control.sqlite")) as connection:
            [newest] = connection.execute("SELECT max(revision) FROM audit").fetchone()
        wait_until(lambda: self._revision() >= newest, WITHIN_S)

    def _revision(self) -> float:
        """Read the oldest revision that a worker answers with."""
        metrics = self.call("GET", "/metrics", scope="admin").text
        [found] = re.findall(r"^endcap_configuration_revision (\S+)$", metrics, re.MULTILINE)
        return float(found)


@contextmanager
def run_server(
    home: Path,
    *options: str,
    keys: dict[str, str] | None = None,
    program: str = MAIN,
) -> Iterator[RunningServer]:
    """Start a server on `home`, wait until it is ready, and stop it with SIGTERM.

    A home's second server needs the `keys` that the first one showed.
    """
    command = [sys.executable, "-c", program, "serve", "--json"]
    with (home / "server.log").open("a") as log:
        process = subprocess.Popen(
            [*command, "--home", str(home), "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            announced = process.stdout.readline()
            assert announced, (home / "server.log").read_text()
            started = json.loads(announced)
            shown = {made["info"]["scope"]: made["key"] for made in started["keys"]}
            server = RunningServer(home, started["address"], keys or shown, process)
            wait_until(lambda: _is_ready(server.address), READY_S)
            yield server
        except BaseException:
            # Shown with what failed: the folder is gone where a build runs.
            lines = (home / "server.log").read_text(errors="replace").splitlines()
            sys.stderr.write("\n".join((f"the end of {home.name}/server.log:", *lines[-20:], "")))
            raise
        finally:
            process.terminate()
            process.wait(STOP_S)
            if process.stdout is not None:
                process.stdout.close()


def log_process_of(server: RunningServer) -> int:
    """Return the process that writes a server's log."""
    [found] = (
        pid
        for pid, command in children(server.process.pid).items()
        if "service.processes.log_server" in command
    )
    return found


def assert_live_everywhere(holds: Callable[[], bool], n_calls: int = 20) -> None:
    """Assert that a change holds in every worker within `WITHIN_S`, and goes on holding.

    Each call of `holds` opens a connection, which the kernel gives to either worker. All of a row
    may go to one worker, so a row that holds before the time is up proves nothing.
    """
    wait_until(holds, WITHIN_S)
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        holds()
    assert all(holds() for _ in range(n_calls))


def wait_until(holds: Callable[[], bool], limit_s: float) -> None:
    """Assert that something holds in time."""
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, f"not within {limit_s} s"
        time.sleep(0.02)


def eventually(read: Callable[[], object], expected: object, limit_s: float = 8.0) -> None:
    """Assert that something comes to be so; what it is instead is shown."""
    end = time.monotonic() + limit_s
    # What is asserted is what was read: another worker may answer the next call.
    while (seen := read()) != expected and time.monotonic() < end:
        time.sleep(0.02)
    assert seen == expected


@contextmanager
def reserved_port() -> Iterator[int]:
    """Find a port that a server may listen on, again and again, and that nobody else is given."""
    with socket.socket() as held:
        # Whoever says the same may bind to the port too, as long as nobody listens on it yet.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(address + "/health/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
