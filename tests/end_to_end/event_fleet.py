"""Two machines on one event store in PostgreSQL, and what is asked of them."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from models.artifact import ArtifactStore
from models.pseudonym import KEY_FILE, load_pseudonymiser
from tests.end_to_end.running_server import ENDCAP, RunningServer, run_server
from tests.snapshots import tiny_snapshot

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
