"""Two machines on one event store in PostgreSQL count as one shop, whatever happens to either."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from models.pseudonym import KEY_FILE
from tests.end_to_end.event_fleet import ROLLOUT, SLOT, Fleet, machines, run, seen, send, stored
from tests.end_to_end.running_server import (
    ENDCAP,
    WITHIN_S,
    run_server,
    wait_until,
)
from tests.postgres_server import PostgresServer


@pytest.fixture(scope="module")
def fleet(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Return two machines."""
    with machines(postgres_server.make_database(), tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


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


@pytest.mark.untimed
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
