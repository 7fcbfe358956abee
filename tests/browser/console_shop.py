"""A shop for the console's tests: a small trained model, documents, and people who were here."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import httpx

from tests.end_to_end.running_server import ENDCAP, RunningServer, assert_live_everywhere
from training.simulation.files import WorldFiles

SCOPES = ("merchandiser", "trainer", "support")
N_VISITS = 320
BATCH = 100


def train_home(files: WorldFiles, home: Path) -> None:
    """Train the small world's model into a home."""
    command = [*ENDCAP, "train", "--force", "--json"]
    options = ["--home", str(home), "--tune-seconds", "0"]
    given = [f"--interactions={files.interactions}", f"--catalog={files.catalog}"]
    done = subprocess.run(
        [*command, *options, *given], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr


def copy_home(trained: Path, home: Path) -> None:
    """Begin a server's home with a model that was trained before."""
    shutil.copytree(trained, home, dirs_exist_ok=True)


def furnish(server: RunningServer) -> None:
    """Make keys of every scope, and a placement with a rollout at a half."""
    for scope in SCOPES:
        made = server.call(
            "POST", "/v1/keys", {"scope": scope, "name": f"{scope} Ann"}, scope="admin"
        )
        server.keys[scope] = made.json()["key"]
    server.put("/v1/rollouts/home_recs", {"share": 0.5})
    server.put("/v1/placements/home_recs", {"kind": "items", "count": 6})
    ask = {"placements": [{"id": "home_recs"}]}
    assert_live_everywhere(lambda: server.call("POST", "/v1/serve", ask).status_code == 200)


def visit(server: RunningServer, n: int = N_VISITS) -> None:
    """Let people look at one page each; a third of them click on what stands first."""
    rng = random.Random(7)
    headers = {"X-API-Key": server.keys["publishable"], "User-Agent": "Mozilla/5.0 (test shop)"}
    events: list[dict[str, str]] = []
    with httpx.Client(base_url=server.address, headers=headers, verify=False, timeout=20) as client:
        for number in range(n):
            user_id = f"shopper-{number}"
            body = {
                "user": {"user_id": user_id},
                "context": {"platform": "web", "country": rng.choice(["AE", "SA"])},
                "placements": [{"id": "home_recs"}],
            }
            answer = client.post("/v1/serve", json=body)
            assert answer.status_code == 200, answer.text
            [slate] = answer.json()["placements"]
            seen = {"user_id": user_id, "exposure_id": slate["exposure_id"]}
            events.append(
                {"event": "exposure", "grade": "rendered", "event_id": f"r{number}", **seen}
            )
            if rng.random() < 1 / 3:
                clicked = {"item_id": slate["items"][0]["id"], "event_id": f"c{number}"}
                events.append({"event": "click", **clicked, **seen})
        for start in range(0, len(events), BATCH):
            posted = client.post("/v1/events", json=events[start : start + BATCH])
            assert posted.json()["rejected"] == 0, posted.text
