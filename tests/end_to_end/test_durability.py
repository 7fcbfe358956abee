"""What was acknowledged is stored, whatever happens: kill, drain, storm, lock, full disk."""

import asyncio
import json
import resource
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.running_server import RunningServer, run_server

BATCH = 20
ENDCAP = (sys.executable, "-c", "import endcap; endcap.main()")


def batches(name: str, n: int, size: int = BATCH) -> list[list[dict[str, Any]]]:
    """Make `n` batches of views with distinct ids."""
    return [
        [
            {"event": "view", "event_id": f"{name}-{i}-{j}", "item_id": "p1", "user_id": f"u{j}"}
            for j in range(size)
        ]
        for i in range(n)
    ]


def ids(sent: Sequence[Sequence[dict[str, Any]]]) -> set[str]:
    return {event["event_id"] for batch in sent for event in batch}


def column(home: Path, query: str) -> list[Any]:
    """Read the store with a connection of our own."""
    connection = sqlite3.connect(home / "events.sqlite", timeout=20)
    try:
        return [row[0] for row in connection.execute(query)]
    finally:
        connection.close()


def reconcile(home: Path) -> tuple[int, dict[str, Any]]:
    """Run `endcap events reconcile --json` as a user would."""
    done = subprocess.run(
        [*ENDCAP, "events", "reconcile", "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


class Load:
    """Clients that send batches until all are sent or the server is gone, and note each answer."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.acknowledged: list[list[dict[str, Any]]] = []
        self.unanswered: list[list[dict[str, Any]]] = []
        self.verdicts: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    async def send(self, share: Sequence[list[dict[str, Any]]]) -> None:
        """Send one client's batches, one after the other."""
        headers = {"X-API-Key": self._server.keys["publishable"]}
        async with httpx.AsyncClient(headers=headers, timeout=60, verify=False) as client:
            for n, batch in enumerate(share):
                try:
                    answer = await client.post(self._server.address + "/v1/events", json=batch)
                except httpx.TransportError:
                    self.unanswered.extend(share[n:])
                    return
                self.statuses[answer.status_code] += 1
                if answer.status_code == 202:
                    self.acknowledged.append(batch)
                    self.verdicts.update(each["status"] for each in answer.json()["events"])
                else:
                    assert answer.headers["retry-after"]
                    self.unanswered.append(batch)


async def send_all(load: Load, shares: Sequence[Sequence[list[dict[str, Any]]]]) -> None:
    await asyncio.gather(*(load.send(share) for share in shares))


def test_killed_server_has_every_acknowledged_event(tmp_path: Path) -> None:
    """SIGKILL under load: acknowledged ⊆ stored ⊆ sent, and sending again completes."""
    shares = [batches(f"c{client}", 300) for client in range(6)]
    with run_server(tmp_path, "--workers", "2") as server:
        load = Load(server)

        async def kill_in_the_middle() -> None:
            sending = asyncio.create_task(send_all(load, shares))
            while len(load.acknowledged) < 100:
                assert not sending.done()
                await asyncio.sleep(0.01)
            server.kill()
            await sending

        asyncio.run(kill_in_the_middle())
    sent, acknowledged = ids([b for share in shares for b in share]), ids(load.acknowledged)
    stored = set(column(tmp_path, "SELECT event_id FROM events"))
    assert len(acknowledged) >= 100 * BATCH
    assert load.unanswered
    assert acknowledged <= stored <= sent
    assert stored - acknowledged <= ids(load.unanswered)
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert ledger["unclosed_writers"] >= 1

    with run_server(tmp_path, "--workers", "2", keys=server.keys) as again:
        rest = Load(again)
        asyncio.run(send_all(rest, [load.unanswered[:50], load.acknowledged[:20]]))
        assert not rest.unanswered
    assert rest.verdicts["duplicate"] >= 20 * BATCH
    assert ids(rest.acknowledged) <= set(column(tmp_path, "SELECT event_id FROM events"))
    assert reconcile(tmp_path)[0] == 0


def test_storm_of_duplicates_is_stored_once(tmp_path: Path) -> None:
    """Eight clients send the same 2,000 events at once to two workers."""
    same = batches("same", 20, size=100)
    with run_server(tmp_path, "--workers", "2") as server:
        load = Load(server)
        asyncio.run(send_all(load, [same] * 8))
    assert load.verdicts == {"accepted": 2_000, "duplicate": 14_000}
    assert set(column(tmp_path, "SELECT event_id FROM events")) == ids(same)
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert (ledger["received"], ledger["accepted"], ledger["event_rows"]) == (16_000, 2_000, 2_000)
    assert ledger["unclosed_writers"] == 0


def test_drained_server_has_stored_every_exposure(tmp_path: Path) -> None:
    """SIGTERM under load: each slate that was answered is stored, and the counters agree."""
    with run_server(tmp_path, "--workers", "2") as server:
        static = {"kind": "items", "recipe": "static", "static_ids": ["p1", "p2"], "count": 2}
        server.put("/v1/placements/recs", static)
        answered: set[str] = set()

        async def browse(n: int) -> None:
            headers = {"X-API-Key": server.keys["publishable"]}
            body = {"user": {"user_id": f"u{n}"}, "placements": [{"id": "recs"}]}
            async with httpx.AsyncClient(headers=headers, timeout=30, verify=False) as client:
                while True:
                    try:
                        page = await client.post(server.address + "/v1/serve", json=body)
                    except httpx.TransportError:
                        return
                    if page.status_code == 200:
                        answered.update(p["exposure_id"] for p in page.json()["placements"])

        async def stop_in_the_middle() -> int:
            browsing = asyncio.gather(*(browse(n) for n in range(6)))
            while len(answered) < 300:
                await asyncio.sleep(0.01)
            code = await asyncio.to_thread(server.stop)
            await browsing
            return code

        assert asyncio.run(stop_in_the_middle()) == 0
    assert answered <= set(column(tmp_path, "SELECT exposure_id FROM exposures"))
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert ledger["served"] == ledger["assigned"] == ledger["stored"] >= len(answered)
    assert ledger["unclosed_writers"] == 0


def test_locked_store_delays_events_and_nothing_else(tmp_path: Path) -> None:
    """Another process holds the lock for three seconds: pages go on, events wait, none is lost."""
    with run_server(tmp_path, "--event-queue-size", "100") as server:
        static = {"kind": "items", "recipe": "static", "static_ids": ["p1"], "count": 1}
        server.put("/v1/placements/recs", static)
        server.serve("recs", user={"user_id": "u"})
        lock = sqlite3.connect(tmp_path / "events.sqlite", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        load = Load(server)
        slates: list[str] = []

        async def use() -> None:
            sending = asyncio.create_task(send_all(load, [[batch] for batch in batches("held", 9)]))
            end = time.monotonic() + 3
            while time.monotonic() < end:
                begin = time.monotonic()
                [slate] = await asyncio.to_thread(server.serve, "recs", user={"user_id": "u"})
                assert time.monotonic() - begin < 1
                slates.append(slate["exposure_id"])
            assert not load.acknowledged
            lock.execute("ROLLBACK")
            lock.close()
            await sending

        asyncio.run(use())
    # Nine batches of 20: five fill the buffer of 100, the others are told to come back.
    assert load.statuses == {202: 5, 429: 4}
    assert set(column(tmp_path, "SELECT event_id FROM events")) == ids(load.acknowledged)
    assert set(slates) <= set(column(tmp_path, "SELECT exposure_id FROM exposures"))
    assert reconcile(tmp_path)[0] == 0


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit, which is Linux's")
def test_full_disk_refuses_and_never_acknowledges_falsely(tmp_path: Path) -> None:
    """Files may not grow: events are refused with Retry-After; with room again they are taken."""
    with run_server(tmp_path) as server:
        pid, limit = server.process.pid, resource.RLIMIT_FSIZE
        before = resource.prlimit(pid, limit)
        load = Load(server)
        asyncio.run(load.send(batches("before", 3)))
        assert load.statuses == {202: 3}
        largest = max(path.stat().st_size for path in tmp_path.glob("events.sqlite*"))
        resource.prlimit(pid, limit, (largest + 65_536, before[1]))
        asyncio.run(load.send(batches("full", 40, size=100)))
        assert load.unanswered
        assert set(load.statuses) <= {202, 429, 503}
        resource.prlimit(pid, limit, before)
        again = list(load.unanswered)
        load.unanswered.clear()
        asyncio.run(load.send(again))
        assert not load.unanswered
    assert set(column(tmp_path, "SELECT event_id FROM events")) == ids(load.acknowledged)
    assert reconcile(tmp_path)[0] == 0
