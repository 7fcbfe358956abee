"""One worker of several is killed under load: another takes its place, and nothing is amiss."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.child_processes import children, command_of
from tests.end_to_end.event_load import (
    BATCH,
    SLOT,
    batches,
    column,
    ids,
    reconcile,
    wait_until_served,
)
from tests.end_to_end.running_server import RunningServer, run_server, wait_until

N_WORKERS = 3
N_KILLED = 2
N_CLIENTS = 6
N_BATCHES = 150

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
    pytest.mark.untimed,
]


class Shop:
    """Clients that send events and look at pages, and try again when a connection breaks."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.n_acknowledged = 0
        self.n_pages = self.n_broken_pages = self.n_broken_batches = 0
        self.is_over = False

    def _client(self) -> httpx.AsyncClient:
        headers = {"X-API-Key": self._server.keys["publishable"]}
        return httpx.AsyncClient(
            base_url=self._server.address, headers=headers, timeout=30, verify=False
        )

    async def send(self, share: Sequence[list[dict[str, Any]]]) -> None:
        """Send batches one after the other, each until it is acknowledged."""
        async with self._client() as client:
            waiting = list(reversed(share))
            while waiting:
                try:
                    answer = await client.post("/v1/events", json=waiting[-1])
                except httpx.TransportError:
                    self.n_broken_batches += 1
                    continue
                assert answer.status_code == 202, answer.text
                waiting.pop()
                self.n_acknowledged += 1

    async def browse(self, user: str) -> None:
        """Look at pages until the load is over."""
        body = {"user": {"user_id": user}, "placements": [{"id": "recs"}]}
        async with self._client() as client:
            while not self.is_over:
                try:
                    page = await client.post("/v1/serve", json=body)
                except httpx.TransportError:
                    self.n_broken_pages += 1
                    continue
                assert page.status_code == 200, page.text
                self.n_pages += 1


def workers_of(server: RunningServer) -> set[int]:
    """Return the workers: forks of the supervisor, with its command."""
    own = command_of(server.process.pid)
    return {pid for pid, command in children(server.process.pid).items() if command == own}


def is_replaced(server: RunningServer, victim: int) -> bool:
    """Tell whether there are as many workers as before, without one."""
    return len(workers_of(server) - {victim}) == N_WORKERS


async def kill_some(server: RunningServer, shop: Shop) -> None:
    """Kill a worker, wait for another in its place, and do so again."""
    for n in range(1, N_KILLED + 1):
        while shop.n_acknowledged < n * N_CLIENTS * N_BATCHES // (N_KILLED + 2):
            await asyncio.sleep(0.01)
        before = workers_of(server)
        assert len(before) == N_WORKERS
        victim = min(before)
        n_pages = shop.n_pages
        os.kill(victim, signal.SIGKILL)
        await asyncio.to_thread(wait_until, partial(is_replaced, server, victim), 20)
        assert shop.n_pages > n_pages


@pytest.mark.slow
def test_killed_worker_is_replaced_and_loses_no_acknowledged_event(tmp_path: Path) -> None:
    """SIGKILL of two workers of three, one after the other: the supervisor starts others, pages and

    events go on, what was acknowledged is what is stored, and the ledger adds up. Metrics tell of
    workers that live.
    """
    shares = [batches(f"c{client}", N_BATCHES) for client in range(N_CLIENTS)]
    with run_server(tmp_path, "--workers", str(N_WORKERS)) as server:
        server.put("/v1/placements/recs", SLOT)
        wait_until_served(server, "recs")
        shop = Shop(server)

        async def use() -> None:
            browsing = [asyncio.create_task(shop.browse(f"u{n}")) for n in range(4)]
            killing = asyncio.create_task(kill_some(server, shop))
            await asyncio.gather(*(shop.send(share) for share in shares))
            await killing
            shop.is_over = True
            await asyncio.gather(*browsing)

        asyncio.run(use())
        # Its revision comes to all that live; one that was killed will never have it.
        server.put("/v1/placements/recs", {**SLOT, "count": 1})
        assert server.stop() == 0
    # Each client has one connection, which breaks at most once for each worker that is killed.
    assert shop.n_broken_pages <= N_KILLED * 4
    assert shop.n_broken_batches <= N_KILLED * N_CLIENTS
    stored = column(tmp_path, "SELECT event_id FROM events")
    assert len(stored) == len(set(stored)) == N_CLIENTS * N_BATCHES * BATCH
    assert set(stored) == ids([batch for share in shares for batch in share])
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert ledger["accepted"] == len(stored)
    assert ledger["duplicate"] <= shop.n_broken_batches * BATCH
    assert ledger["served"] == ledger["assigned"] == ledger["stored"]
    assert ledger["unclosed_writers"] == N_KILLED
    assert (tmp_path / "server.log").read_text().count("worker_ended") == N_KILLED
