"""What several workers serve against one: servers in turns, the generator on a core of its own."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.serve.closed_loop import Burst, saturate
from tests.benchmarks.serve.measure import Sizes, machine, shop_server, warm_up
from tests.benchmarks.serve.processes import Server
from tests.benchmarks.serve.shop import open_shop
from tests.benchmarks.serve.traffic import Traffic, write_traffic

CONNECTIONS_EACH = 128
"""Per worker of the larger servers, and as many for the one: an event waits for the disk, and with
fewer the connections that wait leave cores idle."""
ENOUGH = 2
"""How often every shopper comes for each worker before it counts: then most have met them all."""
LONGEST = 3
"""Times what is measured: how long that may take."""
ONE, SEVERAL, APART = "one", "several", "apart"
"""The servers: of one worker, of several, and of several where each scores for itself."""
AWAKE_S = 1.5
"""Until a server that rested knows that its log process answers."""
SCORE_APART = (
    "import service.processes.scorer_process as common; common.find_common_ground = lambda: None; "
    "import endcap; endcap.main()"
)
NO_SCORER = "--no-scorer"
"""What a further worker brings is asked; a scorer is one more process that only the one would have
where there are as many workers as cores."""
_DECIDE = 'endcap_serve_stage_seconds_sum{stage="decide"}'
_PAGES = 'endcap_serve_stage_seconds_count{stage="decide"}'


def measure_scale(root: Path, sizes: Sizes, n_workers: int) -> dict[str, Any]:
    """Measure pages a second of one worker and of `n_workers`; ratios are medians of the turns.

    The servers may use all cores, the last one beside the generator, unless `sizes` says others.
    """
    shop = open_shop(root, sizes.items, sizes.users)
    cores = sorted(os.sched_getaffinity(0))
    ours, theirs = sizes.server_cores or cores, sizes.generator_cores or cores[-1:]
    burst = partial(
        saturate,
        seconds=sizes.seconds / sizes.rounds,
        connections=CONNECTIONS_EACH * n_workers,
        pinned=theirs,
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=root)))
        traffic = write_traffic(folder, sizes.items, sizes.users)
        servers = {
            name: stack.enter_context(shop_server(folder / name, shop, n, ours, NO_SCORER, **more))
            for name, n, more in (
                (ONE, 1, {}),
                (SEVERAL, n_workers, {}),
                (APART, n_workers, {"program": SCORE_APART}),
            )
        }
        for server in servers.values():
            n_times = ENOUGH * (1 if server is servers[ONE] else n_workers)
            warm_up(server, traffic, theirs, n_times, limit_s=LONGEST * sizes.seconds)
        turns = [
            {name: _alone(servers, name, traffic, burst) for name in servers}
            for _ in range(sizes.rounds)
        ]
    result: dict[str, Any] = {**machine(), "workers": n_workers, "turns": turns}
    for page in ("page_quiet", "page_warm"):
        ratios = {
            name: [turn[name][page]["per_s"] / turn[ONE][page]["per_s"] for turn in turns]
            for name in (SEVERAL, APART)
        }
        result[f"ratio_workers_{page}"] = round(median(ratios[SEVERAL]), 2)
        result[f"ratio_workers_apart_{page}"] = round(median(ratios[APART]), 2)
    result["n_failed"] = sum(
        page["n_failed"] for turn in turns for server in turn.values() for page in server.values()
    )
    return result


def _alone(
    servers: dict[str, Server], name: str, traffic: Traffic, burst: Callable[..., Burst]
) -> dict[str, dict[str, Any]]:
    """Measure a server while the others rest: each has a log and sums to catch up with."""
    with ExitStack() as stack:
        for other in servers.values():
            if other is not servers[name]:
                stack.enter_context(other.resting())
        time.sleep(AWAKE_S)
        return _turn(servers[name], traffic, burst)


def _turn(
    server: Server, traffic: Traffic, burst: Callable[..., Burst]
) -> dict[str, dict[str, Any]]:
    told = {}
    for name, requests, share in (
        ("page_quiet", traffic.page_quiet, 1.0),
        ("page_warm", traffic.page_warm, traffic.page_share),
    ):
        before, loop_s = server.metrics(), server.loop_cpu_s()
        found = burst(server, requests)
        loop_s = server.loop_cpu_s() - loop_s
        told[name] = _told(found, share, before, server.metrics())
        told[name]["loop_us"] = round(loop_s / (found.n_requests * share) * 1e6, 1)
    return told


def _told(
    burst: Burst, page_share: float, before: dict[str, float], after: dict[str, float]
) -> dict[str, Any]:
    """Say what a burst came to; events between the pages are load, but they are no pages."""
    n_pages = burst.n_requests * page_share
    decided_s = after[_DECIDE] - before.get(_DECIDE, 0.0)
    told = {
        "per_s": round(burst.per_s * page_share, 1),
        "cpu_us": round(burst.cpu_s / n_pages * 1e6, 1),
        "decide_us": round(decided_s / (after[_PAGES] - before.get(_PAGES, 0.0)) * 1e6, 1),
        "p50_ms": burst.p50_ms,
        "p99_ms": burst.p99_ms,
        "n_failed": burst.n_failed,
    }
    for outcome in ("found", "kept"):
        name = f'endcap_shared_candidates_total{{outcome="{outcome}"}}'
        told[f"n_{outcome}"] = int(after.get(name, 0.0) - before.get(name, 0.0))
    return told
