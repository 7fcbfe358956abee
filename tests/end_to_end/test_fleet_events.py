"""Two machines on one event store in PostgreSQL count as one shop, whatever happens to either."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from models.artifact import ArtifactStore
from models.pseudonym import KEY_FILE, load_pseudonymiser
from tests.end_to_end.running_server import (
    STOP_S,
    WITHIN_S,
    RunningServer,
    run_server,
    wait_until,
)
from tests.end_to_end.test_durability import BATCH, Load, batches, browse, ids, send_all
from tests.postgres_server import PostgresServer
from tests.snapshots import tiny_snapshot

ENDCAP = [sys.executable, "-c", "import endcap; endcap.main()"]
SLOT = {"kind": "items", "recipe": "recently_viewed", "count": 2}
ROLLOUT = {"key": "recs", "share": 1.0, "salt": "s"}


class Fleet(NamedTuple):
    """Two servers with homes of their own, and the database that they share."""

    a: RunningServer
    b: RunningServer
    homes: tuple[Path, Path]
    url: str


@contextmanager
def machines(url: str, folder: Path) -> Iterator[Fleet]:
    """Run two servers with one pseudonym key and the same model."""
    homes = folder / "a", folder / "b"
    for home in homes:
        home.mkdir()
        if home is homes[1]:
            shutil.copy(homes[0] / KEY_FILE, home / KEY_FILE)
        alice = load_pseudonymiser(home).pseudonym("user_id", "alice")
        store = ArtifactStore(home)
        store.promote(store.publish(tiny_snapshot("", alice)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENDCAP_EVENTS_URL", url)
        with run_server(homes[0], "--workers", "2") as a, run_server(homes[1]) as b:
            for server in (a, b):
                server.put("/v1/rollouts/recs", ROLLOUT)
                server.put("/v1/placements/recs", SLOT)
            yield Fleet(a, b, homes, url)


@pytest.fixture(scope="module")
def fleet(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Return two machines."""
    with machines(postgres_server.make_database(), tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


def run(fleet: Fleet, *arguments: str, place: int = 1) -> tuple[int, Any]:
    """Run a command on one of the machines, and read the object that it prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENDCAP_EVENTS_URL", fleet.url)
        done = subprocess.run(
            [*ENDCAP, *arguments, "--home", str(fleet.homes[place]), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def send(server: RunningServer, *events: dict[str, Any]) -> list[str]:
    """Send events and return the verdict on each."""
    answer = server.call("POST", "/v1/events", list(events))
    assert answer.status_code == 202, answer.text
    return [each["status"] for each in answer.json()["events"]]


def seen(server: RunningServer, user: str) -> list[str]:
    """Return what a machine shows a shopper of what they viewed last."""
    [slate] = server.serve("recs", user={"user_id": user})
    return [item["id"] for item in slate["items"] if item["source"] == SLOT["recipe"]]


def ready(server: RunningServer) -> Any:
    """Ask a machine whether it may have traffic, which is so while its database is away too."""
    answer = server.call("GET", "/health/ready")
    assert answer.status_code == 200, answer.text
    return answer.json()


def says_away(server: RunningServer) -> bool:
    """Tell whether a machine says, in all places, that its event store is away."""
    found = ready(server)
    assert found["status"] in ("ok", "degraded")
    components = [trouble["component"] for trouble in found.get("troubles", ())]
    metrics = server.call("GET", "/metrics", scope="admin").text
    return components == ["event_log"] and "endcap_event_log_up 0.0" in metrics


def stored(url: str) -> set[str]:
    """Read the ids of all stored events with a connection of our own."""
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("SELECT event_id FROM log.events")}


def test_event_that_one_machine_took_is_a_repeat_on_the_other(fleet: Fleet) -> None:
    """Sent to A, then to B, then to A: accepted once."""
    event = {"event": "view", "event_id": "once", "item_id": "mug", "user_id": "repeating"}
    verdicts = [send(server, event) for server in (fleet.a, fleet.b, fleet.a)]
    assert verdicts == [["accepted"], ["duplicate"], ["duplicate"]]


def test_shopper_is_known_on_every_machine_within_a_second(fleet: Fleet) -> None:
    """B has the shopper in memory as somebody new; what A then takes is on B's next pages."""
    assert seen(fleet.b, "walker") == []
    event = {"event": "view", "item_id": "lamp", "user_id": "walker"}
    send(fleet.a, {**event, "event_id": "walk-1"})
    wait_until(lambda: seen(fleet.b, "walker") == ["lamp"], WITHIN_S)
    send(fleet.b, {**event, "event_id": "walk-2", "item_id": "mug"})
    wait_until(lambda: seen(fleet.a, "walker")[:1] == ["mug"], WITHIN_S)


def test_report_and_ledger_count_both_machines(fleet: Fleet) -> None:
    """Pages and clicks of A and B stand in the report of either, and all is accounted for."""
    for n, server in enumerate((fleet.a, fleet.b) * 3):
        [slate] = server.serve("recs", user={"user_id": f"counted{n}"})
        click = {"event": "click", "event_id": f"counted{n}", "item_id": slate["items"][0]["id"]}
        exposure = {"exposure_id": slate["exposure_id"], "user_id": f"counted{n}"}
        send(server, {**click, **exposure})

    def counted() -> bool:
        reports = [run(fleet, "report", "recs", place=place)[1] for place in (0, 1)]
        units = [sum(arm["units"] for arm in report["arms"]) for report in reports]
        clicks = [sum(arm["clicked_exposures"] for arm in report["arms"]) for report in reports]
        return min(units) >= 6 and units[0] == units[1] and clicks == [6, 6]

    wait_until(counted, 20)
    code, ledger = run(fleet, "events", "reconcile")
    assert code == 0, ledger


def test_person_is_erased_from_the_shared_log(fleet: Fleet) -> None:
    """Erased on A: no row of theirs is left, and B forgets them within seconds."""
    send(fleet.a, {"event": "view", "event_id": "leaver", "item_id": "mug", "user_id": "leaver-1"})
    wait_until(lambda: seen(fleet.b, "leaver-1") == ["mug"], WITHIN_S)
    receipt = fleet.a.call("DELETE", "/v1/users/leaver-1", scope="admin").json()
    erased_ms = time.time_ns() // 1_000_000
    assert receipt["is_verified"], receipt
    assert {one["place"]: one["rows"] for one in receipt["erased"]}["database: events"] == 1
    assert "leaver" not in stored(fleet.url)
    wait_until(lambda: seen(fleet.b, "leaver-1") == [], 5)
    copy = fleet.b.call("GET", "/v1/users/leaver-1", scope="admin").json()
    # Each look at B was a page for somebody new, and may be stored by now.
    late = copy["rows"].pop("exposures")
    assert all(row["at_ms"] >= erased_ms for row in late), late
    assert not any(copy["rows"].values()), copy
    assert run(fleet, "events", "reconcile")[0] == 0


def test_killed_machine_has_every_acknowledged_event(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """SIGKILL of A under load: what it acknowledged is stored, and B goes on beside."""
    shares = [batches(f"c{client}", 200) for client in range(4)]
    with machines(postgres_server.make_database(), tmp_path) as fleet:
        load, other = Load(fleet.a), Load(fleet.b)

        async def kill_in_the_middle() -> None:
            sending = asyncio.create_task(send_all(load, shares))
            beside = asyncio.create_task(send_all(other, [batches("b", 50)]))
            while len(load.acknowledged) < 60:
                assert not sending.done()
                await asyncio.sleep(0.01)
            fleet.a.kill()
            await sending
            await beside

        asyncio.run(kill_in_the_middle())
        assert load.unanswered
        assert not other.unanswered
        assert ids([*load.acknowledged, *other.acknowledged]) <= stored(fleet.url)
        again = Load(fleet.b)
        asyncio.run(send_all(again, [load.unanswered[:20], load.acknowledged[:20]]))
        assert again.verdicts["duplicate"] >= 20 * BATCH
        code, ledger = run(fleet, "events", "reconcile")
        assert code == 0, ledger


def test_database_that_restarts_loses_and_repeats_nothing(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """Crashed under load and away for seconds: pages are answered, events refused, none is lost."""
    with machines(postgres_server.make_database(), tmp_path) as fleet:
        load = Load(fleet.a)
        shares = [batches(f"c{client}", 100) for client in range(4)]

        async def crash_in_the_middle() -> None:
            sending = asyncio.create_task(send_all(load, shares))
            while len(load.acknowledged) < 40:
                assert not sending.done()
                await asyncio.sleep(0.01)
            await asyncio.to_thread(postgres_server.stop, "immediate")
            try:
                for turn in range(20):
                    [slate] = await asyncio.to_thread(
                        fleet.b.serve, "recs", user={"user_id": f"while-away-{turn}"}
                    )
                    assert slate["items"]
                for server in (fleet.a, fleet.b):
                    await asyncio.to_thread(wait_until, partial(says_away, server), 5)
            finally:
                await asyncio.to_thread(postgres_server.start)
            await sending

        asyncio.run(crash_in_the_middle())
        assert load.statuses[503] + load.statuses[429] > 0
        again = Load(fleet.b)
        wait_until(lambda: fleet.b.call("POST", "/v1/events", []).status_code != 503, 10)
        for server in (fleet.a, fleet.b):
            wait_until(lambda one=server: ready(one) == {"status": "ok"}, 10)  # type: ignore[misc]  # no type of a default
        asyncio.run(send_all(again, [load.unanswered]))
        assert not again.unanswered
        assert ids([b for share in shares for b in share]) == stored(fleet.url)
        assert again.verdicts["accepted"] + load.verdicts["accepted"] <= 400 * BATCH
        for server in (fleet.a, fleet.b):
            assert server.stop() == 0
        code, ledger = run(fleet, "events", "reconcile")
        assert code == 0, ledger
        assert ledger["exposure_rows"] >= 20


def test_stop_while_the_database_is_away_is_in_the_ledger_of_all(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """PostgreSQL crashes under load and both machines stop before it is back.

    What they showed and could not store is in the ledger as dropped, to the last slate, whichever
    machine is asked; every event that was acknowledged is stored, and no other counts.
    """
    url = postgres_server.make_database()
    answered: set[str] = set()
    with machines(url, tmp_path) as fleet:
        loads = Load(fleet.a), Load(fleet.b)
        shares = [batches(f"away{client}", 400) for client in range(4)]

        async def crash_and_stop() -> None:
            sending = [
                asyncio.create_task(send_all(load, shares[n : n + 2]))
                for n, load in zip((0, 2), loads, strict=True)
            ]
            browsing = [
                asyncio.create_task(browse(one, "u", answered))
                for one in (fleet.a, fleet.b)
                for _ in range(2)
            ]
            while sum(len(load.acknowledged) for load in loads) < 60:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(postgres_server.stop, "immediate")
            n_before = len(answered)
            while len(answered) < n_before + 100:
                await asyncio.sleep(0.01)
            # At once: each waits for the database as long as it may.
            await asyncio.gather(
                *(asyncio.to_thread(server.stop) for server in (fleet.a, fleet.b)),
                *sending,
                *browsing,
            )

        try:
            asyncio.run(crash_and_stop())
        finally:
            postgres_server.start()
    assert ids([*loads[0].acknowledged, *loads[1].acknowledged]) <= stored(url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENDCAP_EVENTS_URL", url)
        for home, server in zip(fleet.homes, (fleet.a, fleet.b), strict=True):
            with run_server(home, keys=server.keys) as again:
                assert send(again, {"event": "view", "event_id": home.name, "item_id": "mug"})
    ledgers = [run(fleet, "events", "reconcile", place=place)[1] for place in (0, 1)]
    assert ledgers[0] == ledgers[1]
    ledger = ledgers[0]
    verdicts = [ledger[name] for name in ("accepted", "duplicate", "rejected")]
    assert ledger["received"] == sum(verdicts)
    assert ledger["accepted"] == ledger["event_rows"] == len(stored(url))
    assert ledger["assigned"] == ledger["stored"] == ledger["exposure_rows"]
    assert ledger["dropped"] >= 100
    assert ledger["served"] == ledger["stored"] + ledger["dropped"]
    assert ledger["served"] >= len(answered)
    assert 1 <= ledger["unclosed_writers"] <= 3
    [difference] = ledger["differences"]
    assert difference == f"served {ledger['served']} is not assigned {ledger['assigned']}"


def test_database_that_hangs_is_told_and_loses_nothing(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP of every connection's process: pages go on, whoever sends events hears 503 in time,
    a machine can stop, and after SIGCONT what was sent is stored once."""
    monkeypatch.setenv("ENDCAP_EVENT_WAIT_S", "6")
    url = postgres_server.make_database()
    with machines(url, tmp_path) as fleet:
        send(fleet.a, {"event": "view", "event_id": "before", "item_id": "mug", "user_id": "u"})
        with psycopg.connect(url) as connection:
            backends = connection.execute(
                "SELECT pid FROM pg_stat_activity "
                "WHERE application_name = 'endcap' AND datname = current_database()"
            ).fetchall()
        load = Load(fleet.a)
        for (pid,) in backends:
            os.kill(pid, signal.SIGSTOP)
        try:
            begin_s = time.monotonic()
            asyncio.run(send_all(load, [[batch] for batch in batches("held", 6)]))
            assert load.statuses == {503: 6}
            assert time.monotonic() - begin_s < 6 + 4
            fleet.b.process.terminate()  # by now its readers wait for an answer
            for turn in range(5):
                [slate] = fleet.a.serve("recs", user={"user_id": f"while-stopped-{turn}"})
                assert slate["items"]
            wait_until(lambda: says_away(fleet.a), 10)
            assert fleet.b.process.wait(STOP_S) == 0
        finally:
            for (pid,) in backends:
                os.kill(pid, signal.SIGCONT)
        wait_until(lambda: ready(fleet.a) == {"status": "ok"}, 20)
        again = Load(fleet.a)
        asyncio.run(send_all(again, [[batch] for batch in load.unanswered]))
        assert again.statuses == {202: 6}
        assert stored(url) == {"before"} | ids(again.acknowledged)
        for server in (fleet.a, fleet.b):
            assert server.stop() == 0
        code, ledger = run(fleet, "events", "reconcile")
        assert code == 0, ledger
        assert ledger["exposure_rows"] >= 5


def test_machine_with_another_pseudonym_key_does_not_start(fleet: Fleet, tmp_path: Path) -> None:
    """Its shoppers would all be strangers: it says which file to copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENDCAP_EVENTS_URL", fleet.url)
        done = subprocess.run(
            [*ENDCAP, "serve", "--home", str(tmp_path), "--port", "0"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert "copy pseudonym.key" in done.stderr
    # One that it made for itself would only be in the way.
    assert not (tmp_path / KEY_FILE).exists()


def test_one_database_serves_both_halves(postgres_server: PostgresServer, tmp_path: Path) -> None:
    """With `ENDCAP_DATABASE_URL` placements, keys and events are in it, and the home has none."""
    with pytest.MonkeyPatch.context() as patch:
        # The machines of this module may run, and have named theirs.
        patch.delenv("ENDCAP_EVENTS_URL", raising=False)
        patch.setenv("ENDCAP_DATABASE_URL", postgres_server.make_database())
        with run_server(tmp_path) as server:
            server.put("/v1/placements/recs", {**SLOT, "static_ids": ["mug"]})
            assert send(server, {"event": "view", "event_id": "e", "item_id": "mug"}) == [
                "accepted"
            ]
            assert server.serve("recs", user={"user_id": "u"})
    assert not list(tmp_path.glob("*.sqlite"))


def test_connections_to_the_database_are_bounded(fleet: Fleet) -> None:
    """Eight a worker and one for the sums of each machine, after everything it does was done."""
    for turn in range(20):
        for server in (fleet.a, fleet.b):
            send(server, {"event": "view", "event_id": f"bound-{turn}", "item_id": "mug"})
            server.serve("recs", user={"user_id": f"bound-{turn}"})
    with psycopg.connect(fleet.url) as connection:
        [n_held] = connection.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'endcap' AND datname = current_database()"
        ).fetchone() or [0]
    assert n_held <= 8 * 3 + 2


@pytest.mark.untimed
def test_machine_that_served_alone_joins_with_all_it_has(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """Its log moves while no server runs, and only then; the report, repeats and shoppers stay."""
    with pytest.MonkeyPatch.context() as patch:
        # The machines of this module may run, and have named theirs.
        patch.delenv("ENDCAP_EVENTS_URL", raising=False)
        with run_server(tmp_path) as alone:
            alone.put("/v1/rollouts/recs", ROLLOUT)
            alone.put("/v1/placements/recs", {**SLOT, "static_ids": ["mug"]})
            clicks = []
            for n in range(5):
                [slate] = alone.serve("recs", user={"user_id": f"u{n}"})
                event = {"event": "click", "event_id": f"c{n}", "item_id": "mug"}
                named = {"user_id": f"u{n}", "exposure_id": slate["exposure_id"]}
                clicks.append({**event, **named})
            assert send(alone, *clicks) == ["accepted"] * 5
            fleet = Fleet(alone, alone, (tmp_path, tmp_path), postgres_server.make_database())
            with pytest.raises(AssertionError, match="a server runs on"):
                run(fleet, "events", "move")
        done = subprocess.run(
            [*ENDCAP, "report", "recs", "--home", str(tmp_path), "--json"],
            capture_output=True,
            timeout=60,
            check=True,
        )
        before = json.loads(done.stdout)
        code, moved = run(fleet, "events", "move")
        assert (code, moved["rows"]["events"]) == (0, 5)
        assert run(fleet, "events", "move")[1]["copied"] == 0
        patch.setenv("ENDCAP_EVENTS_URL", fleet.url)
        with run_server(tmp_path, keys=alone.keys) as server:
            assert send(server, clicks[4]) == ["duplicate"]
            after = run(fleet, "report", "recs")[1]
            assert after["arms"] == before["arms"]
            assert server.stop() == 0
        code, ledger = run(fleet, "events", "reconcile")
        assert code == 0, ledger
        assert (ledger["accepted"], ledger["duplicate"]) == (5, 1)
