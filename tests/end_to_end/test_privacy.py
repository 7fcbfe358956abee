"""People in a running service: every worker forgets the erased, and no log names anybody."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.artifact import ArtifactStore
from models.pseudonym import load_pseudonymiser
from service.privacy.erase import search
from tests.end_to_end.running_server import (
    ENDCAP,
    RunningServer,
    assert_live_everywhere,
    run_server,
    wait_until,
)
from tests.snapshots import tiny_snapshot

WHO = "erika.mustermann@example.org"
VISITOR = "visitor-of-the-tablet-4711"
SESSION = "session-0815-4711"
ORDER = "order-number-20261122"
PLACEMENT = {"kind": "items", "recipe": "recently_viewed", "count": 2}


def recent_items(server: RunningServer) -> list[str]:
    """Return what the answering worker remembers that she looked at."""
    user = {"user_id": WHO, "anonymous_id": VISITOR, "session_id": SESSION}
    [slate] = server.serve("recent", user=user)
    return [item["id"] for item in slate["items"] if slate["tier"] == "personal"]


def shop_of(home: Path) -> tuple[str, str]:
    """Give a home a model that knows her, and return her pseudonym and the visitor's."""
    pseudonymiser = load_pseudonymiser(home)
    key = pseudonymiser.pseudonym("user_id", WHO)
    artifacts = ArtifactStore(home)
    artifacts.promote(artifacts.publish(tiny_snapshot(user_key=key)))
    return key, pseudonymiser.pseudonym("anonymous_id", VISITOR)


def did(event_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "event": "view", "event_id": event_id, "item_id": "mug", "user_id": WHO,
        "anonymous_id": VISITOR, "session_id": SESSION,
    } | fields  # fmt: skip


def test_every_worker_forgets_who_was_erased(tmp_path: Path) -> None:
    """Two workers know what she looked at; after one call neither does, and no file names her.

    The command line does the same beside the running server.
    """
    key, visitor = shop_of(tmp_path)
    with run_server(tmp_path, "--workers", "2") as server:
        server.put("/v1/placements/recent", PLACEMENT)
        for erase in (erase_over_http, erase_on_the_command_line):
            event = did(f"v-{erase.__name__}")
            assert server.call("POST", "/v1/events", event).status_code == 202
            assert_live_everywhere(lambda: "mug" in recent_items(server))
            receipt = erase(server, tmp_path)
            assert sorted(receipt["pseudonyms"]) == sorted([key, visitor])
            # The model without her is opened anew, which takes a busy machine some seconds.
            wait_until(lambda: recent_items(server) == [], 20)
            assert_live_everywhere(lambda: recent_items(server) == [])
    found = search(tmp_path, [WHO, VISITOR])
    assert found == []


def erase_over_http(server: RunningServer, _home: Path) -> Any:
    answer = server.call("DELETE", f"/v1/users/{WHO}", scope="admin")
    assert answer.status_code == 200, answer.text
    return answer.json()


def erase_on_the_command_line(_server: RunningServer, home: Path) -> Any:
    done = subprocess.run(
        [*ENDCAP, "users", "erase", WHO, "--home", str(home), "--json"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert WHO not in done.stderr
    return json.loads(done.stdout)


@pytest.mark.untimed
def test_no_log_names_anybody(tmp_path: Path) -> None:
    """After pages, events, mistakes of every kind, a copy and an erasure, the log has no raw id,

    no e-mail address, no order number and no key, at its most talkative.
    """
    shop_of(tmp_path)
    with run_server(tmp_path, "--workers", "2", "--log-level", "debug") as server:
        server.put("/v1/placements/recent", PLACEMENT)
        server.put("/v1/rollouts/recent", {"share": 0.5, "forced": {WHO: "personal"}})
        recent_items(server)
        order = {"event": "purchase", "order_id": ORDER, "price": 3.0, "quantity": 1}
        wrong = did("w", price="dear", event="purchase")
        for body in ([did("a"), did("b", **order), wrong], {"user_id": WHO}):
            server.call("POST", "/v1/events", body)
        members = f"user_id\n{WHO}\n"
        with httpx.Client(verify=False, base_url=server.address) as client:
            admin = {"X-API-Key": server.keys["admin"]}
            client.put("/v1/segments/vip/members", content=members, headers=admin)
            client.post("/v1/events", content=f'{{"user_id": "{WHO}', headers=admin)
            client.post("/v1/events", content=json.dumps([did("\ud800")]), headers=admin)
            client.post("/v1/serve", content=f'{{"user": {{"user_id": 7, "x": "{WHO}"}}}}')
            client.post("/v1/identify", json={"userId": WHO, "anonymousId": VISITOR}, headers=admin)
            for wrong_key in (server.keys["publishable"][:-1] + "x", WHO):
                client.get("/v1/placements", headers={"Authorization": f"Bearer {wrong_key}"})
            client.get(f"/v1/placements/recent?user_id={WHO}&count=nonsense", headers=admin)
            client.post(f"/v1/events?key={server.keys['publishable']}", json=did("c"))
            client.get(f"/v1/{WHO}", headers=admin)
        server.call("GET", f"/v1/users/{WHO}", scope="admin")
        erase_over_http(server, tmp_path)
        secrets = [WHO, VISITOR, SESSION, ORDER, "mustermann", *server.keys.values()]
    log = (tmp_path / "server.log").read_text()
    assert log.strip()
    assert [secret for secret in secrets if secret in log] == []
