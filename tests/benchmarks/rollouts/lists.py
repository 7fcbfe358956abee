"""How long a list of a million ids takes from its first byte to its effect, and what it weighs."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from tests.end_to_end.running_server import assert_live_everywhere, run_server

CONTEXT = {"context": {"targetingKey": "user-7"}}


def measure(home: Path, *, n_members: int, workers: int) -> dict[str, object]:
    """Upload a list, use it as an audience; return seconds, bytes and worst wait of other calls."""
    body = b"user_id\n" + b"".join(b"user-%d\n" % number for number in range(n_members))
    with run_server(home, "--workers", str(workers)) as server:
        headers = {"X-API-Key": server.keys["admin"]}
        begin = time.perf_counter()
        with httpx.Client(verify=False, timeout=300, headers=headers) as client:
            answer = client.put(server.address + "/v1/segments/big/members", content=body)
        took_s = time.perf_counter() - begin
        assert answer.status_code == 200, answer.text
        audience = {"op": "segment", "segment": "big"}
        server.put("/v1/rollouts/listed", {"share": 1, "audience": audience})
        path = "/ofrep/v1/evaluate/flags/listed"
        assert_live_everywhere(
            lambda: server.call("POST", path, CONTEXT).json().get("variant") == "personal"
        )
        files = list((home / "segments").rglob("*.u64"))
    return {
        "members": answer.json()["accepted"],
        "body, MB": round(len(body) / 1e6, 1),
        "upload, s": round(took_s, 2),
        "file, MB": round(sum(path.stat().st_size for path in files) / 1e6, 1),
    }
