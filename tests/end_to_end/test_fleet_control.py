"""Two machines on one control plane: what is changed on one holds on the other within a second."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import psycopg
import pytest

from models.artifact import ArtifactStore
from models.pseudonym import KEY_FILE, load_pseudonymiser
from tests.end_to_end.running_server import ENDCAP, WITHIN_S, RunningServer, run_server, wait_until
from tests.postgres_server import PostgresServer
from tests.snapshots import tiny_snapshot

PROBE_S = 2
"""What the Dockerfile gives an answer about health."""


class Fleet(NamedTuple):
    """Two servers and what they share."""

    a: RunningServer
    b: RunningServer
    url: str
    homes: tuple[Path, Path]


@pytest.fixture(scope="module")
def fleet(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Run two servers with homes of their own and the same pseudonym key on one database."""
    homes = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    alice = load_pseudonymiser(homes[0]).pseudonym("user_id", "alice")
    shutil.copy(homes[0] / KEY_FILE, homes[1] / KEY_FILE)
    for home in homes:
        store = ArtifactStore(home)
        store.promote(store.publish(tiny_snapshot("", alice)))
    url = postgres_server.make_database()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENDCAP_CONTROL_URL", url)
        with (
            run_server(homes[0], "--workers", "2") as a,
            run_server(homes[1], keys=a.keys) as b,
        ):
            a.put("/v1/placements/recs", {"kind": "items", "count": 3})
            wait_until(lambda: b.call("GET", "/v1/placements/recs").status_code == 200, WITHIN_S)
            yield Fleet(a, b, url, homes)


def ids_on(server: RunningServer) -> list[str]:
    """Return the items that one machine shows."""
    [slate] = server.serve("recs", user={"user_id": "alice"})
    return [item["id"] for item in slate["items"]]


def hide(server: RunningServer, *, hidden: bool) -> None:
    """Hide the pot, or show it."""
    changed = server.call("PATCH", "/v1/items/pot", {"hidden": hidden}, scope="admin")
    assert changed.status_code in (200, 201), changed.text


def is_trail_whole(fleet: Fleet) -> bool:
    """Check the trail as an operator does on the second machine."""
    checked = subprocess.run(
        [*ENDCAP, "audit", "verify", "--home", str(fleet.homes[1])],
        env={**os.environ, "ENDCAP_CONTROL_URL": fleet.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return checked.returncode == 0 and "rows are whole" in checked.stdout


def test_change_on_one_machine_is_live_on_the_other(fleet: Fleet) -> None:
    """An item is hidden on A and gone on B within a second, and back again the other way."""
    assert "pot" in ids_on(fleet.b)
    hide(fleet.a, hidden=True)
    wait_until(lambda: "pot" not in ids_on(fleet.b), WITHIN_S)
    hide(fleet.b, hidden=False)
    wait_until(lambda: "pot" in ids_on(fleet.a), WITHIN_S)


def test_change_is_live_though_nobody_is_told(fleet: Fleet) -> None:
    """With every notification lost the machines still look for changes in time."""
    with psycopg.connect(fleet.url, autocommit=True) as connection:
        [source] = connection.execute(
            "SELECT pg_get_functiondef('endcap_audit_follows'::regproc)"
        ).fetchone() or [""]
        connection.execute(source.replace("PERFORM pg_notify", "PERFORM concat").encode())
        try:
            hide(fleet.a, hidden=True)
            wait_until(lambda: "pot" not in ids_on(fleet.b), WITHIN_S)
            hide(fleet.a, hidden=False)
            wait_until(lambda: "pot" in ids_on(fleet.b), WITHIN_S)
        finally:
            connection.execute(source.encode())


def test_kill_switch_reaches_every_machine(fleet: Fleet) -> None:
    """A rollout killed on B puts everyone into control on A within a second."""
    fleet.a.put("/v1/rollouts/recs", {"share": 1.0})

    def variant(server: RunningServer) -> str:
        [slate] = server.serve("recs", user={"user_id": "alice"})
        return str((slate["rollout"] or {}).get("variant"))

    wait_until(lambda: variant(fleet.b) == "personal", WITHIN_S)
    assert fleet.b.call("POST", "/v1/rollouts/recs/kill", scope="admin").status_code in (200, 201)
    wait_until(lambda: variant(fleet.a) == "control", WITHIN_S)
    assert fleet.a.call("DELETE", "/v1/rollouts/recs", scope="admin").status_code == 204


def test_of_two_editors_on_two_machines_one_is_told(fleet: Fleet) -> None:
    """Both change the revision they read; one gets it, the other 412 with the state as it is."""
    read = fleet.a.call("GET", "/v1/placements/recs/config", scope="admin")

    def edit(server: RunningServer) -> httpx.Response:
        return httpx.patch(
            f"{server.address}/v1/placements/recs",
            json={"name": server.address},
            headers={"X-API-Key": server.keys["admin"], "If-Match": read.headers["ETag"]},
            timeout=20,
        )

    with ThreadPoolExecutor(2) as threads:
        answers = sorted(threads.map(edit, (fleet.a, fleet.b)), key=lambda one: one.status_code)
    assert [one.status_code for one in answers] == [200, 412]
    assert answers[1].json()["current"]["name"] == answers[0].json()["name"]


def test_key_made_on_one_machine_opens_the_other(fleet: Fleet) -> None:
    """A key from A works on B within a second, and B's command line revokes it for both."""
    made = fleet.a.call("POST", "/v1/keys", {"scope": "trainer", "name": "n"}, scope="admin").json()

    def status(server: RunningServer) -> int:
        headers = {"X-API-Key": made["key"]}
        return httpx.get(f"{server.address}/metrics", headers=headers, timeout=20).status_code

    wait_until(lambda: status(fleet.b) == 200, WITHIN_S)
    subprocess.run(
        [*ENDCAP, "keys", "revoke", made["info"]["id"], "--home", str(fleet.homes[1])],
        env={**os.environ, "ENDCAP_CONTROL_URL": fleet.url},
        check=True,
        timeout=60,
        capture_output=True,
    )
    wait_until(lambda: status(fleet.a) == status(fleet.b) == 401, WITHIN_S)


def test_list_uploaded_on_one_machine_counts_on_the_other(fleet: Fleet) -> None:
    """An audience of an uploaded list is asked on B with the members that A was given."""
    uploaded = httpx.put(
        f"{fleet.a.address}/v1/segments/vip/members",
        content="user_id\nalice\n",
        headers={"X-API-Key": fleet.a.keys["admin"]},
        timeout=20,
    )
    assert uploaded.status_code == 200, uploaded.text
    audience = {"op": "segment", "segment": "vip"}
    fleet.a.put("/v1/rollouts/vips", {"share": 1.0, "audience": audience})

    def reason(user_id: str) -> str:
        body = {"context": {"targetingKey": user_id, "user_id": user_id}}
        flag = fleet.b.call("POST", "/ofrep/v1/evaluate/flags/vips", body)
        return str(flag.json().get("variant"))

    wait_until(lambda: reason("alice") == "personal", WITHIN_S)
    assert reason("bob") == "control"


def metrics_of(server: RunningServer) -> str:
    """Read what is counted."""
    return server.call("GET", "/metrics", scope="admin").text


def test_database_may_restart_and_be_away(fleet: Fleet, postgres_server: PostgresServer) -> None:
    """Pages go on, changes are 503 with the next step, and afterwards everything holds again."""
    postgres_server.stop("immediate")
    try:
        assert len(ids_on(fleet.a)) == len(ids_on(fleet.b)) == 3
        refused = fleet.a.call("PATCH", "/v1/items/pot", {"hidden": True}, scope="admin")
        assert refused.status_code == 503
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["detail"].endswith("then try again")
        ready = httpx.get(f"{fleet.b.address}/health/ready", timeout=20)
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        [trouble] = ready.json()["troubles"]
        assert trouble["component"] == "control_plane"
        wait_until(lambda: "endcap_control_plane_up 0.0" in metrics_of(fleet.b), 5)
        third = subprocess.run(
            [*ENDCAP, "serve", "--home", str(fleet.homes[1]), "--port", "0"],
            env={**os.environ, "ENDCAP_CONTROL_URL": fleet.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert third.returncode == 2
        assert "see that PostgreSQL runs and takes connections" in third.stderr
        assert "Traceback" not in third.stderr
    finally:
        postgres_server.start()
    wait_until(lambda: _is_ok(fleet.b), 10.0)
    hide(fleet.a, hidden=True)
    wait_until(lambda: "pot" not in ids_on(fleet.b), 5 * WITHIN_S)
    hide(fleet.b, hidden=False)
    wait_until(lambda: "pot" in ids_on(fleet.a), WITHIN_S)
    assert is_trail_whole(fleet)


def _is_ok(server: RunningServer) -> bool:
    return bool(httpx.get(f"{server.address}/health/ready", timeout=20).json() == {"status": "ok"})


def test_database_that_hangs_takes_no_machine_out(
    fleet: Fleet, postgres_server: PostgresServer
) -> None:
    """A probe that opened a connection would wait for it longer than a load balancer does."""
    with postgres_server.standing_still():
        for server in (fleet.a, fleet.b):
            ready = httpx.get(f"{server.address}/health/ready", timeout=PROBE_S)
            assert ready.status_code == 200
    wait_until(lambda: _is_ok(fleet.a) and _is_ok(fleet.b), 10.0)


def test_machine_with_another_key_does_not_start(fleet: Fleet, tmp_path: Path) -> None:
    """It would deal every shopper anew; it is told which file to copy."""
    refused = subprocess.run(
        [*ENDCAP, "serve", "--home", str(tmp_path), "--port", "0"],
        env={**os.environ, "ENDCAP_CONTROL_URL": fleet.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert "copy pseudonym.key from the home of one of them" in refused.stderr
