"""Two machines on one event store: one is killed, or the database crashes, hangs or is away."""

import asyncio
import os
import signal
import time
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.end_to_end.event_fleet import machines, ready, run, says_away, send, stored
from tests.end_to_end.event_load import BATCH, Load, batches, browse, ids, send_all
from tests.end_to_end.running_server import STOP_S, run_server, wait_until
from tests.postgres_server import PostgresServer


@pytest.mark.untimed
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


@pytest.mark.slow
@pytest.mark.untimed
def test_stop_while_the_database_is_away_is_in_the_ledger_of_all(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """PostgreSQL crashes under load and both machines stop before it is back.

    What they showed and could not store is in the ledger as dropped, to the last slate, whichever
    machine is asked; every event that was acknowledged is stored, and no other counts.
    """
    url = postgres_server.make_database()
    answered: set[str] = set()
    # Of these no page was asked for before, so none can have been stored.
    while_away: set[str] = set()
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
                assert not all(one.done() for one in sending)
                await asyncio.sleep(0.01)
            await asyncio.to_thread(postgres_server.stop, "immediate")
            browsing += [
                asyncio.create_task(browse(one, "v", while_away)) for one in (fleet.a, fleet.b)
            ]
            while len(while_away) < 100:
                assert not all(one.done() for one in browsing)
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
    assert ledger["dropped"] >= len(while_away) >= 100
    assert ledger["served"] == ledger["stored"] + ledger["dropped"]
    assert ledger["served"] >= len(answered) + len(while_away)
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
