"""Banners learn in a running server: two workers, real clicks, periods of a second."""

import time
from collections import Counter
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.running_server import RunningServer, run_server
from training.policy.evaluate import evaluate_home

CLICKS = {"a": 1, "b": 2, "c": 6}
"""How many of ten slates with a banner are clicked; `c` is listed last and clicked most."""
RATE = CLICKS["c"] / 10
WITHIN_S = 120
CAUGHT_UP_S = 30
N_MORE = 20
"""Rounds after it has won: until then `a` and `b` stand so often that what the log says of the two
orders differs by little more than chance."""


@pytest.mark.slow
@pytest.mark.untimed
@pytest.mark.timeout(240)
def test_banner_that_is_clicked_most_wins_in_every_worker(tmp_path: Path) -> None:
    """Shoppers come and click until `c` stands in nine of ten slates.

    The log then says that the order of affinity, which begins with `a`, would have earned less.
    """
    options = ("--workers", "2", "--banner-period-s", "2")
    with run_server(tmp_path, *options) as server:
        server.put("/v1/placements/hero", {"kind": "banners", "explore_share": 0.4})
        for banner_id in CLICKS:
            document = {"title": banner_id, "image_url": "/i", "link_url": "/l"}
            server.put(f"/v1/banners/{banner_id}", document)
        until_s = time.monotonic() + WITHIN_S
        seen: Counter[str] = Counter()
        shown: Counter[str] = Counter()
        rounds = count(0, 60)
        for first in rounds:
            shown = _visit(server, seen, range(first, first + 60))
            if shown["c"] >= 54 or time.monotonic() > until_s:
                break
        assert shown["c"] >= 54, shown
        for first in islice(rounds, N_MORE):
            _visit(server, seen, range(first, first + 60))
        performance = _performance(server, "c", RATE)
        assert performance["click_rate"]["value"] == pytest.approx(RATE, abs=0.2)
        assert performance["learned"]["value"] > 0.4
    found = evaluate_home(tmp_path, (), placement="hero", rollout=None, clip=None)
    by_name = {one.policy: one.snips.value for one in found.policies}
    assert by_name["click_rate"] > by_name["affinity"]


def _performance(server: RunningServer, banner_id: str, expected: float) -> Any:
    """Read it until it has caught up: the clicks of a round come after all its slates."""
    path = f"/v1/banners/{banner_id}/performance"
    until_s = time.monotonic() + CAUGHT_UP_S
    while True:
        found = server.call("GET", path, scope="admin").json()
        is_close = found["click_rate"]["value"] == pytest.approx(expected, abs=0.2)
        if is_close or time.monotonic() > until_s:
            return found
        time.sleep(0.5)


def _visit(server: RunningServer, seen: Counter[str], units: range) -> Counter[str]:
    """Let people come and click, and return what they were shown; `seen` counts all rounds."""
    before = seen.copy()
    clicks = []
    for unit in units:
        user = {"anonymous_id": f"u{unit}"}
        [slate] = server.serve("hero", user=user)
        banner_id = slate["banners"][0]["id"]
        assert 0 < slate["banners"][0]["propensity"] <= 1
        seen[banner_id] += 1
        if _is_clicked(banner_id, seen[banner_id]):
            click = {"event": "click", "event_id": f"c{unit}", "banner_id": banner_id, **user}
            clicks.append({**click, "exposure_id": slate["exposure_id"]})
    if clicks:
        assert server.call("POST", "/v1/events", clicks).status_code in (200, 202)
    return seen - before


def _is_clicked(banner_id: str, number: int) -> bool:
    """Tell whether the slate of this number with a banner is clicked, from 1 on.

    Clicks are spread evenly. Were they random, one run of some thousands would fail: the slates
    with `a` are few and weigh much, so a few clicks more make it look as good as `c`.
    """
    per_ten = CLICKS[banner_id]
    return number * per_ten // 10 > (number - 1) * per_ten // 10
