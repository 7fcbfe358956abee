"""The process that writes for all workers: killed, stopped, outlived, and drained last."""

import asyncio
import os
import signal
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from tests.child_processes import is_alive
from tests.end_to_end.event_load import (
    BATCH,
    SLOT,
    Load,
    batches,
    column,
    ids,
    reconcile,
    send_all,
    wait_until_served,
)
from tests.end_to_end.running_server import RunningServer, log_process_of, run_server, wait_until

STOPPED_S = 10

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


async def browse(server: RunningServer, until: asyncio.Event, slowest_s: float) -> list[str]:
    """Look at pages until told to stop; none of them may be slow. Return their exposures."""
    shown: list[str] = []
    while not until.is_set():
        begin_s = time.monotonic()
        [slate] = await asyncio.to_thread(server.serve, "recs", user={"user_id": "u"})
        assert time.monotonic() - begin_s < slowest_s
        shown.append(slate["exposure_id"])
    return shown


def keeps_off(pid: int, ours: set[int]) -> bool:
    """Tell whether all threads of a process leave the same cores of ours to others."""
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    used = {frozenset(os.sched_getaffinity(thread)) for thread in threads}
    return len(used) == 1 and used.pop() < ours


@pytest.mark.parametrize("workers", [1, 2])
def test_log_process_keeps_off_the_cores_of_pages(tmp_path: Path, workers: int) -> None:
    """Every thread of it, once it has written, where there are more cores than workers."""
    ours = os.sched_getaffinity(0)
    with run_server(tmp_path, "--workers", str(workers)) as server:
        server.put("/v1/placements/recs", SLOT)
        [slate] = server.serve("recs", user={"user_id": "u"})
        wait_until(
            lambda: column(tmp_path, "SELECT exposure_id FROM exposures") == [slate["exposure_id"]],
            5,
        )
        pid = log_process_of(server)
        wait_until(lambda: keeps_off(pid, ours) or len(ours) <= workers, 5)


@pytest.mark.untimed
@pytest.mark.parametrize("workers", ["1", "3"])
def test_killed_log_process_loses_and_repeats_nothing(tmp_path: Path, workers: str) -> None:
    """SIGKILL three times under load: it comes back, every event and exposure is stored once."""
    shares = [batches(f"c{client}", 150) for client in range(6)]
    with run_server(tmp_path, "--workers", workers) as server:
        server.put("/v1/placements/recs", SLOT)
        wait_until_served(server, "recs")
        load = Load(server)

        async def kill_in_the_middle() -> list[str]:
            done = asyncio.Event()
            browsing = asyncio.create_task(browse(server, done, slowest_s=5))
            sending = asyncio.create_task(send_all(load, shares))
            for n in range(1, 4):
                while len(load.acknowledged) < 100 * n:
                    assert not sending.done()
                    await asyncio.sleep(0.01)
                killed = log_process_of(server)
                os.kill(killed, signal.SIGKILL)
                await asyncio.to_thread(wait_until, partial(is_replaced, server, killed), 10)
            await sending
            done.set()
            return await browsing

        shown = asyncio.run(kill_in_the_middle())
        assert server.stop() == 0
    sent = ids([batch for share in shares for batch in share])
    # Whoever waited was told at last: nothing was refused, and nothing stored by two tries.
    assert load.statuses == {202: 900}
    assert load.verdicts == {"accepted": 900 * BATCH}
    stored = column(tmp_path, "SELECT event_id FROM events")
    assert len(stored) == len(sent)
    assert set(stored) == sent
    assert set(shown) <= set(column(tmp_path, "SELECT exposure_id FROM exposures"))
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert ledger["received"] == 900 * BATCH
    assert ledger["served"] == ledger["assigned"] == ledger["stored"] >= len(shown)
    assert ledger["unclosed_writers"] == 0


def is_replaced(server: RunningServer, pid: int) -> bool:
    """Tell whether another log process runs."""
    try:
        return log_process_of(server) != pid
    except (ValueError, OSError):
        return False


def test_stopped_log_process_delays_events_and_nothing_else(tmp_path: Path) -> None:
    """SIGSTOP for ten seconds: pages go on, events wait or are told to come back, none is lost."""
    with run_server(tmp_path, "--workers", "2", "--event-queue-size", "100") as server:
        server.put("/v1/placements/recs", SLOT)
        wait_until_served(server, "recs")
        load = Load(server)

        async def use() -> list[str]:
            done = asyncio.Event()
            pid = log_process_of(server)
            os.kill(pid, signal.SIGSTOP)
            try:
                browsing = asyncio.create_task(browse(server, done, slowest_s=1))
                shares = [[batch] for batch in batches("held", 30)]
                sending = asyncio.create_task(send_all(load, shares))
                await asyncio.sleep(STOPPED_S)
                assert not load.acknowledged
            finally:
                os.kill(pid, signal.SIGCONT)
            await sending
            done.set()
            return await browsing

        shown = asyncio.run(use())
        assert server.stop() == 0
    assert set(load.statuses) == {202, 429}
    assert set(column(tmp_path, "SELECT event_id FROM events")) == ids(load.acknowledged)
    assert set(shown) <= set(column(tmp_path, "SELECT exposure_id FROM exposures"))
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert ledger["served"] == ledger["assigned"] == ledger["stored"]


def test_silent_log_process_is_told_and_recovers(tmp_path: Path) -> None:
    """SIGSTOP for longer than a request may wait: pages go on, whoever sends events hears 503 in

    time and then at once, health and metrics say what is wrong, the log says what to do. After
    SIGCONT everything is sent again, is stored once, and adds up.
    """
    shares = [[batch] for batch in batches("held", 12)]
    with run_server(tmp_path, "--workers", "2", "--event-wait-s", "7") as server:
        server.put("/v1/placements/recs", SLOT)
        wait_until_served(server, "recs")
        load = Load(server)

        async def use(pid: int) -> list[str]:
            done = asyncio.Event()
            browsing = asyncio.create_task(browse(server, done, slowest_s=1))
            begin_s = time.monotonic()
            os.kill(pid, signal.SIGSTOP)
            try:
                await send_all(load, shares)
                assert load.statuses == {503: 12}
                assert time.monotonic() - begin_s < 7 + 3
                await asyncio.to_thread(wait_until, lambda: is_refused_at_once(server), 5)
                health = server.call("GET", "/health/ready")
                [trouble] = health.json()["troubles"]
                assert (health.status_code, health.json()["status"]) == (200, "degraded")
                assert trouble["component"] == "event_log"
                assert abs(time.time() - since_s(trouble) - (time.monotonic() - begin_s)) < 3
                await asyncio.to_thread(wait_until, lambda: shows(server, 0), 5)
            finally:
                os.kill(pid, signal.SIGCONT)
            await asyncio.to_thread(wait_until, lambda: is_well(server), 10)
            done.set()
            return await browsing

        pid = log_process_of(server)
        shown = asyncio.run(use(pid))
        again = Load(server)
        asyncio.run(send_all(again, [[batch] for batch in load.unanswered]))
        assert again.statuses == {202: 12}
        wait_until(lambda: shows(server, 1), 5)
        assert server.stop() == 0
    stored = column(tmp_path, "SELECT event_id FROM events")
    assert sorted(stored) == sorted(ids([batch for share in shares for batch in share]))
    assert set(shown) <= set(column(tmp_path, "SELECT exposure_id FROM exposures"))
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert ledger["served"] == ledger["assigned"] == ledger["stored"]
    log = (tmp_path / "server.log").read_text()
    assert f"see what process {pid} waits for; kill -CONT" in log
    assert 1 <= log.count("event_log_stuck") <= 2 * 2


@pytest.mark.untimed
def test_stop_beside_a_silent_log_process_is_no_secret(tmp_path: Path) -> None:
    """SIGSTOP, twenty pages, SIGTERM: what nobody could store is in the ledger as dropped."""
    with run_server(tmp_path, "--workers", "2", "--drain-s", "1") as server:
        server.put("/v1/placements/recs", SLOT)
        wait_until_served(server, "recs")
        os.kill(log_process_of(server), signal.SIGSTOP)
        for turn in range(20):
            server.serve("recs", user={"user_id": f"u{turn}"})
        server.stop()
    code, ledger = reconcile(tmp_path)
    assert code == 1
    assert ledger["dropped"] >= 20
    assert ledger["served"] == ledger["stored"] + ledger["dropped"]
    assert any("is not assigned" in difference for difference in ledger["differences"])


def since_s(trouble: dict[str, str]) -> float:
    """Read since when something is wrong."""
    return datetime.fromisoformat(trouble["since"]).timestamp()


def shows(server: RunningServer, is_up: int) -> bool:
    """Tell whether the metric of all workers says so; each looks twice a second."""
    text = server.call("GET", "/metrics", scope="admin").text
    return f"endcap_event_log_up {is_up}.0" in text


def is_well(server: RunningServer) -> bool:
    """Tell whether eight answers on health, of either worker, are all good."""
    return all(server.call("GET", "/health/ready").json() == {"status": "ok"} for _ in range(8))


def is_refused_at_once(server: RunningServer) -> bool:
    """Tell whether an event is refused without a wait, and when to come back."""
    begin_s = time.monotonic()
    event = {"event": "view", "event_id": "held-0-0", "item_id": "p1", "user_id": "u0"}
    answer = server.call("POST", "/v1/events", event)
    assert answer.status_code == 503
    assert answer.json()["code"] == "store_silent"
    assert answer.headers["retry-after"] == "1"
    return time.monotonic() - begin_s < 1


@pytest.mark.untimed
@pytest.mark.parametrize("workers", ["1", "2"])
def test_log_process_does_not_outlive_its_server(tmp_path: Path, workers: str) -> None:
    """The server is killed alone: its workers end, and then the process that wrote for them."""
    with run_server(tmp_path, "--workers", workers) as server:
        load = Load(server)
        asyncio.run(send_all(load, [batches("a", 5)]))
        log = log_process_of(server)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
        wait_until(lambda: not is_alive(log), 20)
    assert ids(load.acknowledged) == set(column(tmp_path, "SELECT event_id FROM events"))


@pytest.mark.untimed
def test_signal_to_the_whole_group_drains_in_order(tmp_path: Path) -> None:
    """SIGTERM to all processes at once, as some supervisors send it, loses nothing."""
    with run_server(tmp_path, "--workers", "2") as server:
        server.put("/v1/placements/recs", SLOT)
        wait_until_served(server, "recs")
        shown = [server.serve("recs", user={"user_id": "u"})[0]["exposure_id"] for _ in range(50)]
        os.killpg(server.process.pid, signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert set(shown) <= set(column(tmp_path, "SELECT exposure_id FROM exposures"))
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
    assert ledger["unclosed_writers"] == 0
