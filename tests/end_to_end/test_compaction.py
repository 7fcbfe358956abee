"""`endcap events compact` beside a server that is used."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.event_load import (
    SLOT,
    Load,
    batches,
    column,
    ids,
    reconcile,
    send_all,
    wait_until_served,
)
from tests.end_to_end.running_server import ENDCAP, run_server, wait_until

N_RUNS = 3


@pytest.mark.slow
@pytest.mark.untimed
def test_compaction_beside_a_server_loses_nothing(tmp_path: Path) -> None:
    """Files are written anew under load: pages are answered, events stored, and all adds up."""
    with run_server(tmp_path, "--workers", "2") as server:
        server.put("/v1/placements/recs", SLOT)
        wait_until_served(server, "recs")
        load = Load(server)
        asyncio.run(send_all(load, [batches("first", 20, size=1000)]))
        wait_until((tmp_path / "rollup.sqlite").exists, 30)
        is_over = False
        n_pages = 0

        async def browse() -> None:
            nonlocal n_pages
            headers = {"X-API-Key": server.keys["publishable"]}
            async with httpx.AsyncClient(headers=headers, timeout=30, verify=False) as client:
                while not is_over:
                    body = {"user": {"user_id": "u1"}, "placements": [{"id": "recs"}]}
                    page = await client.post(server.address + "/v1/serve", json=body)
                    assert page.status_code == 200, page.text
                    n_pages += 1

        async def compact() -> None:
            nonlocal is_over
            for _ in range(N_RUNS):
                process = await asyncio.create_subprocess_exec(
                    *ENDCAP,
                    *("events", "compact", "--home", str(tmp_path), "--json"),
                    stdout=asyncio.subprocess.PIPE,
                )
                said, _ = await process.communicate()
                assert process.returncode == 0
                files = {one["file"] for one in json.loads(said)["compacted"]}
                assert {"events.sqlite", "rollup.sqlite"} <= files
            is_over = True

        async def use() -> None:
            sending = send_all(load, [batches(f"c{n}", 150) for n in range(3)])
            await asyncio.gather(compact(), browse(), sending)

        asyncio.run(use())
        assert set(load.statuses) <= {202, 429, 503}
        again, load.unanswered = load.unanswered, []
        asyncio.run(load.send(again))
        assert not load.unanswered
        assert n_pages > N_RUNS
        assert server.stop() == 0
    stored = column(tmp_path, "SELECT event_id FROM events")
    assert len(stored) == len(set(stored))
    assert set(stored) == ids(load.acknowledged)
    code, ledger = reconcile(tmp_path)
    assert code == 0, ledger
