"""Workers that share what they worked out answer as one that works everything out itself."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.serve.homes import make_home
from tests.benchmarks.serve.shop import item_id, open_shop, user_id
from tests.end_to_end.running_server import RunningServer, run_server, wait_until

N_ITEMS, N_USERS = 300, 60
SHOPPERS = (*range(0, N_USERS, 12), N_USERS + 1)
"""The last one is unknown to the model."""
N_WORKERS = 3

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked"),
    pytest.mark.untimed,
]


def _page(server: RunningServer, shopper: int) -> list[Any]:
    """Return what stands on a page, without what is of the request."""
    [slate] = server.serve("recs", user={"user_id": user_id(shopper)})
    return [slate["tier"], slate["items"]]


def _outcome(server: RunningServer, outcome: str) -> int:
    text = server.call("GET", "/metrics", scope="admin").text
    pattern = rf'^endcap_shared_candidates_total{{outcome="{outcome}"}} (\S+)$'
    return int(sum(map(float, re.findall(pattern, text, re.MULTILINE))))


def test_workers_find_what_another_has_worked_out(tmp_path: Path) -> None:
    """After an event all workers show the same page, and so does a server of one worker."""
    shop = open_shop(tmp_path / "shops", N_ITEMS, N_USERS)
    home = tmp_path / "home"
    home.mkdir()
    make_home(home, shop)
    with run_server(home, "--workers", str(N_WORKERS)) as server:
        keys = server.keys
        server.put("/v1/placements/recs", {"kind": "items", "count": 12})
        for shopper in SHOPPERS:
            event = {"event": "add_to_cart", "item_id": item_id(shopper), "event_id": f"e{shopper}"}
            sent = server.call("POST", "/v1/events", {**event, "user_id": user_id(shopper)})
            assert sent.status_code in (200, 202), sent.text

        def pages() -> list[list[Any]]:
            return [_page(server, shopper) for shopper in SHOPPERS]

        def are_shared() -> bool:
            shown = pages()
            return _outcome(server, "found") >= len(SHOPPERS) and pages() == shown

        wait_until(are_shared, 30)
        found = [pages() for _ in range(3)]
        assert all(one == found[0] for one in found)
    with run_server(home, keys=keys) as server:
        assert [_page(server, shopper) for shopper in SHOPPERS] == found[0]
        assert _outcome(server, "kept") == 0
