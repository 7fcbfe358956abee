"""Load for servers: clients that send events or look at pages, and what is stored of it."""

import asyncio
import json
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.end_to_end.running_server import ENDCAP, RunningServer, assert_live_everywhere

BATCH = 20
SLOT = {"kind": "items", "recipe": "static", "static_ids": ["p1", "p2"], "count": 2}


def batches(name: str, n: int, size: int = BATCH) -> list[list[dict[str, Any]]]:
    """Make `n` batches of views with distinct ids."""
    return [
        [
            {"event": "view", "event_id": f"{name}-{i}-{j}", "item_id": "p1", "user_id": f"u{j}"}
            for j in range(size)
        ]
        for i in range(n)
    ]


def ids(sent: Sequence[Sequence[dict[str, Any]]]) -> set[str]:
    return {event["event_id"] for batch in sent for event in batch}


def column(home: Path, query: str) -> list[Any]:
    """Read the store with a connection of our own."""
    connection = sqlite3.connect(home / "events.sqlite", timeout=20)
    try:
        return [row[0] for row in connection.execute(query)]
    finally:
        connection.close()


def reconcile(home: Path) -> tuple[int, dict[str, Any]]:
    """Run `endcap events reconcile --json` as a user would."""
    done = subprocess.run(
        [*ENDCAP, "events", "reconcile", "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


class Load:
    """Clients that send batches until all are sent or the server is gone, and note each answer."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.acknowledged: list[list[dict[str, Any]]] = []
        self.unanswered: list[list[dict[str, Any]]] = []
        self.verdicts: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    async def send(self, share: Sequence[list[dict[str, Any]]]) -> None:
        """Send one client's batches, one after the other."""
        headers = {"X-API-Key": self._server.keys["publishable"]}
        async with httpx.AsyncClient(headers=headers, timeout=60, verify=False) as client:
            for n, batch in enumerate(share):
                try:
                    answer = await client.post(self._server.address + "/v1/events", json=batch)
                except httpx.TransportError:
                    self.unanswered.extend(share[n:])
                    return
                self.statuses[answer.status_code] += 1
                if answer.status_code == 202:
                    self.acknowledged.append(batch)
                    self.verdicts.update(each["status"] for each in answer.json()["events"])
                else:
                    assert answer.headers["retry-after"]
                    self.unanswered.append(batch)


async def send_all(load: Load, shares: Sequence[Sequence[list[dict[str, Any]]]]) -> None:
    await asyncio.gather(*(load.send(share) for share in shares))


async def browse(server: RunningServer, user_id: str, answered: set[str]) -> None:
    """Look at pages until the server is gone, and note the exposures of those that came."""
    headers = {"X-API-Key": server.keys["publishable"]}
    body = {"user": {"user_id": user_id}, "placements": [{"id": "recs"}]}
    async with httpx.AsyncClient(headers=headers, timeout=30, verify=False) as client:
        while True:
            try:
                page = await client.post(server.address + "/v1/serve", json=body)
            except httpx.TransportError:
                return
            if page.status_code == 200:
                answered.update(one["exposure_id"] for one in page.json()["placements"])


def wait_until_served(server: RunningServer, placement: str) -> None:
    """Wait until every worker knows a placement."""
    body = {"user": {"user_id": "u"}, "placements": [{"id": placement}]}
    assert_live_everywhere(
        lambda: server.call("POST", "/v1/serve", body).status_code == 200, n_calls=8
    )
