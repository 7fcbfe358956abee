"""Shoppers who have just acted are scored before they come back, and see what they would have."""

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.serve.homes import make_home
from tests.benchmarks.serve.shop import item_id, open_shop, user_id
from tests.child_processes import children, is_alive
from tests.end_to_end.running_server import RunningServer, run_server, wait_until

N_ITEMS, N_USERS = 300, 60
SHOPPERS = (*range(0, N_USERS, 12), N_USERS + 1)
"""The last one is unknown to the model."""

_N_CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 0

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or _N_CORES < 2, reason="there is no core for a scorer"
)


def _page(server: RunningServer, shopper: int) -> list[Any]:
    """Return what stands on a page, without what is of the request."""
    user = {"user_id": user_id(shopper), "anonymous_id": f"device-{shopper}"}
    [slate] = server.serve("recs", user=user)
    return [slate["tier"], slate["items"]]


def _act(server: RunningServer, shopper: int, number: int) -> None:
    """Send what a shop's own server would, which does not know the device."""
    event = {
        "event": "add_to_cart",
        "event_id": f"e-{shopper}-{number}",
        "item_id": item_id((shopper + number) % N_ITEMS),
        "user_id": user_id(shopper),
    }
    sent = server.call("POST", "/v1/events", event)
    assert sent.status_code in (200, 202), sent.text


def _outcomes(server: RunningServer) -> dict[str, int]:
    text = server.call("GET", "/metrics", scope="admin").text
    found = re.findall(
        r'^endcap_shared_candidates_total{outcome="(\w+)"} (\S+)$', text, re.MULTILINE
    )
    return {outcome: int(float(value)) for outcome, value in found}


def _scorer(server: RunningServer) -> int | None:
    commands = children(server.process.pid)
    return next(
        (pid for pid, command in commands.items() if "service.processes.scorer" in command), None
    )


def _act_until_scored(server: RunningServer, first: int) -> int:
    """Let everybody act and come back until each was found scored; return how often they acted."""
    before = _outcomes(server)["found"]
    number = first

    def are_found() -> bool:
        nonlocal number
        for shopper in SHOPPERS:
            _act(server, shopper, number)
        number += 1
        for shopper in SHOPPERS:
            _page(server, shopper)
        return _outcomes(server)["found"] >= before + len(SHOPPERS)

    wait_until(are_found, 30)
    return number


def _settled_pages(server: RunningServer) -> list[list[Any]]:
    """Return the pages once every worker has heard of what everybody did."""
    shown: list[list[list[Any]]] = []

    def are_equal() -> bool:
        shown.append([_page(server, shopper) for shopper in SHOPPERS])
        return len(shown) > 5 and all(one == shown[-1] for one in shown[-5:])

    wait_until(are_equal, 20)
    return shown[-1]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A shop with a model, in which nobody has done anything yet."""
    made = tmp_path / "home"
    made.mkdir()
    return make_home(made, open_shop(tmp_path / "shops", N_ITEMS, N_USERS))


def test_who_acts_is_scored_before_they_come_back(home: Path) -> None:
    """The pages are those of a server without a scorer, which ends when its server is killed."""
    with run_server(home) as server:
        keys = server.keys
        server.put("/v1/placements/recs", {"kind": "items", "count": 12})
        for shopper in SHOPPERS:
            _page(server, shopper)
        assert _scorer(server) is None  # nobody has acted
        _act_until_scored(server, 0)
        shown = [_page(server, shopper) for shopper in SHOPPERS]
        assert all(tier == "personal" for tier, _ in shown)
        assert _outcomes(server)["kept"] == 0  # nobody else is there who could find it
        scorer = _scorer(server)
        assert scorer is not None
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
        wait_until(lambda: not is_alive(scorer), 20)
    with run_server(home, "--no-scorer", keys=keys) as alone:
        _act(alone, SHOPPERS[-1] + 1, 1)
        assert [_page(alone, shopper) for shopper in SHOPPERS] == shown
        assert _scorer(alone) is None
        assert _outcomes(alone) == {}


@pytest.mark.skipif(_N_CORES < 3, reason="there is no core for a scorer beside two workers")
def test_pages_go_on_without_the_scorer(home: Path) -> None:
    """One of two workers' is killed: whoever acts then is scored for their page, as before."""
    with run_server(home, "--workers", "2") as server:
        server.put("/v1/placements/recs", {"kind": "items", "count": 12})
        number = _act_until_scored(server, 0)
        before = _settled_pages(server)
        scorer = _scorer(server)
        assert scorer is not None
        os.kill(scorer, signal.SIGKILL)
        _act(server, SHOPPERS[0], number)
        wait_until(lambda: _page(server, SHOPPERS[0]) != before[0], 5)
        after = _settled_pages(server)
        assert (after[0] == before[0], after[1:] == before[1:]) == (False, True)
