"""A file system without any room left, under a server with several workers."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.child_processes import children, command_of
from tests.end_to_end.event_load import (
    SLOT,
    Load,
    batches,
    column,
    ids,
    reconcile,
    wait_until_served,
)
from tests.end_to_end.running_server import RunningServer, run_server, wait_until

N_WORKERS = 2
ROUTES = 40

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is a file system of 48 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take the last byte of a file system."""
    path = folder / "filling"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return path


def workers_of(server: RunningServer) -> set[int]:
    """Return the workers: forks of the supervisor, with its command."""
    own = command_of(server.process.pid)
    return {pid for pid, command in children(server.process.pid).items() if command == own}


def ask_everywhere(server: RunningServer) -> None:
    """Ask for pages, and for what is not there in many ways, each of which has its own metrics."""
    for n in range(ROUTES):
        server.serve("recs", user={"user_id": f"u{n}"})
        server.call(("PUT", "DELETE", "PATCH", "OPTIONS")[n % 4], f"/v1/serve/{n}")
        server.call("GET", "/v1/rollouts/none/report", scope="admin")


@pytest.mark.untimed
def test_full_disk_ends_no_worker_and_lets_another_start(small_disk: Path) -> None:
    """No byte left: pages go on, also of a worker that starts then, and events are told to wait;

    with room again all goes on, and what was acknowledged is what is stored.
    """
    with run_server(small_disk, "--workers", str(N_WORKERS)) as server:
        server.put("/v1/placements/recs", SLOT)
        wait_until_served(server, "recs")
        load = Load(server)
        asyncio.run(load.send(batches("before", 3)))
        before = workers_of(server)
        filling = fill(small_disk)
        ask_everywhere(server)
        asyncio.run(load.send(batches("full", 8, size=400)))
        assert workers_of(server) == before
        assert set(load.statuses) <= {202, 429, 503}
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(workers_of(server) - {victim}) == N_WORKERS, 20)
        replaced = workers_of(server)
        ask_everywhere(server)
        assert workers_of(server) == replaced
        filling.unlink()
        again, load.unanswered = load.unanswered, []
        asyncio.run(load.send(again))
        assert not load.unanswered
        server.put("/v1/placements/recs", {**SLOT, "count": 1})
        assert server.stop() == 0
    assert set(column(small_disk, "SELECT event_id FROM events")) == ids(load.acknowledged)
    code, ledger = reconcile(small_disk)
    assert code == 0, ledger
