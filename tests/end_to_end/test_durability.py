"""What was acknowledged is stored, whatever happens.

Kill, drain, storm of duplicates, two servers, locked store, full disk, a clock that steps back.
"""

import asyncio
import resource
import sqlite3
import time
from collections import Counter
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.child_processes import children
from tests.end_to_end.event_load import (
    BATCH,
    SLOT,
    Load,
    batches,
    browse,
    column,
    ids,
    reconcile,
    send_all,
    wait_until_served,
)
from tests.end_to_end.running_server import (
    RunningServer,
    assert_live_everywhere,
    run_server,
)
from tests.end_to_end.stepping_clock import PROGRAM, step

LOCKED_S = 10


@pytest.mark.untimed
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


@pytest.mark.untimed
def test_storm_of_duplicates_is_stored_once(tmp_path: Path) -> None:
    """Eight clients send the same 10,000 events at once to two workers."""
    same = batches("same", 100, size=100)
    with run_server(tmp_path, "--workers", "2") as server:
        load = Load(server)
        asyncio.run(send_all(load, [same] * 8))
    assert load.verdicts == {"accepted": 10_000, "duplicate": 70_000}
    assert set(column(tmp_path, "SELECT event_id FROM events")) == ids(same)
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert (ledger["received"], ledger["accepted"], ledger["event_rows"]) == (
        80_000, 10_000, 10_000,
    )  # fmt: skip
    assert ledger["unclosed_writers"] == 0


def test_two_servers_on_one_home_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Two servers write at once, half of it the same: each event is stored once, all add up."""
    own = [batches(f"own{n}", 40) for n in range(2)]
    same = batches("same", 40)
    with (
        run_server(tmp_path) as first,
        run_server(tmp_path, "--workers", "2", keys=first.keys) as second,
    ):
        first.put("/v1/placements/recs", SLOT)
        wait_until_served(second, "recs")
        loads = [Load(server) for server in (first, second)]
        slates: list[str] = []

        async def browse(server: RunningServer) -> None:
            for n in range(30):
                [slate] = await asyncio.to_thread(server.serve, "recs", user={"user_id": f"u{n}"})
                slates.append(slate["exposure_id"])

        async def use() -> None:
            await asyncio.gather(
                *(send_all(load, [mine, same]) for load, mine in zip(loads, own, strict=True)),
                *(browse(server) for server in (first, second)),
            )

        asyncio.run(use())
    stored = column(tmp_path, "SELECT event_id FROM events")
    assert sum((load.verdicts for load in loads), Counter()) == {
        "accepted": 3 * 40 * BATCH,
        "duplicate": 40 * BATCH,
    }
    assert set(stored) == ids(own[0]) | ids(own[1]) | ids(same)
    assert set(slates) <= set(column(tmp_path, "SELECT exposure_id FROM exposures"))
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert ledger["served"] == ledger["stored"] >= 60
    assert ledger["unclosed_writers"] == 0


@pytest.mark.untimed
def test_clock_that_steps_back_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """The clock goes an hour back between the batches, and a day forward and back once more.

    Ids stay unique, what was sent before is still a duplicate, nobody is stuck, changes are
    live at once, a ticket made before stays good, and the ledger adds up.
    """
    hour = 3_600_000
    # From noon on, for a ticket ends at midnight, which may come while this runs.
    noon = 12 * hour - time.time_ns() // 1_000_000 % (24 * hour)
    step(tmp_path, noon)
    with run_server(tmp_path, "--workers", "2", program=PROGRAM) as server:
        server.put("/v1/placements/recs", SLOT)
        wait_until_served(server, "recs")
        context = {"context": {"targetingKey": "u"}}
        flags = server.call("POST", "/ofrep/v1/evaluate/flags", context).json()
        stream = flags["eventStreams"][0]["endpoint"]["requestUri"]
        slates: list[str] = []
        loads: list[Load] = []
        for n, offset_ms in enumerate((0, -hour, 24 * hour, -2 * hour)):
            step(tmp_path, noon + offset_ms)
            load = Load(server)
            asyncio.run(send_all(load, [batches(f"c{n}-{client}", 10) for client in range(4)]))
            assert load.verdicts == {"accepted": 40 * BATCH}
            if loads:
                again = Load(server)
                asyncio.run(send_all(again, [loads[-1].acknowledged]))
                assert set(again.verdicts) == {"duplicate"}
            loads.append(load)
            server.put("/v1/rollouts/recs", {"share": n / 4})
            assert_live_everywhere(partial(_has_share, server, n / 4), n_calls=4)
            with httpx.stream("GET", server.address + stream, verify=False, timeout=20) as answer:
                assert answer.status_code == 200
            for i in range(20):
                [slate] = server.serve("recs", user={"user_id": f"u{i}"})
                slates.append(slate["exposure_id"])
    assert len(set(slates)) == len(slates)
    stored = column(tmp_path, "SELECT event_id FROM events")
    assert len(stored) == len(set(stored))
    assert set(stored) == set().union(*(ids(load.acknowledged) for load in loads))
    assert set(slates) <= set(column(tmp_path, "SELECT exposure_id FROM exposures"))
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert ledger["served"] == ledger["assigned"] == ledger["stored"]


def _has_share(server: RunningServer, share: float) -> bool:
    answer = server.call("GET", "/v1/rollouts/recs", scope="admin")
    return answer.status_code == 200 and answer.json()["share"] == share


@pytest.mark.untimed
def test_drained_server_has_stored_every_exposure(tmp_path: Path) -> None:
    """SIGTERM under load: each slate that was answered is stored, and the counters agree."""
    with run_server(tmp_path, "--workers", "2") as server:
        server.put("/v1/placements/recs", SLOT)
        answered: set[str] = set()

        async def stop_in_the_middle() -> int:
            browsing = asyncio.gather(*(browse(server, f"u{n}", answered) for n in range(6)))
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
    """Another process holds the lock for ten seconds: pages go on, events wait, none is lost."""
    with run_server(tmp_path, "--event-queue-size", "100") as server:
        server.put("/v1/placements/recs", SLOT)
        server.serve("recs", user={"user_id": "u"})
        lock = sqlite3.connect(tmp_path / "events.sqlite", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        load = Load(server)
        slates: list[str] = []

        async def use() -> None:
            sending = asyncio.create_task(send_all(load, [[batch] for batch in batches("held", 9)]))
            end = time.monotonic() + LOCKED_S
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


def limit_files(server: RunningServer, limits: tuple[int, int]) -> None:
    """Say how long files may grow, to the server and to the process that writes its log."""
    for pid in (server.process.pid, *children(server.process.pid)):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


@pytest.mark.untimed
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit, which is Linux's")
def test_full_disk_refuses_and_never_acknowledges_falsely(tmp_path: Path) -> None:
    """Files may not grow: events are refused with Retry-After and pages go on; with room again

    what waited is written, what was refused is taken, and everything adds up.
    """
    with run_server(tmp_path) as server:
        server.put("/v1/placements/recs", SLOT)
        before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        load = Load(server)
        asyncio.run(load.send(batches("before", 3)))
        assert load.statuses == {202: 3}
        largest = max(path.stat().st_size for path in tmp_path.glob("events.sqlite*"))
        limit_files(server, (largest + 65_536, before[1]))
        asyncio.run(load.send(batches("full", 40, size=100)))
        assert load.unanswered
        assert set(load.statuses) <= {202, 429, 503}
        slates = [server.serve("recs", user={"user_id": f"u{n}"})[0] for n in range(20)]
        limit_files(server, before)
        again = list(load.unanswered)
        load.unanswered.clear()
        asyncio.run(load.send(again))
        assert not load.unanswered
    assert set(column(tmp_path, "SELECT event_id FROM events")) == ids(load.acknowledged)
    shown = set(column(tmp_path, "SELECT exposure_id FROM exposures"))
    assert {slate["exposure_id"] for slate in slates} <= shown
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert ledger["served"] == ledger["stored"] >= 20
