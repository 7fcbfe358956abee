"""One run: servers side by side, measurements in turns, one flat table of figures."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from models.artifact import ArtifactStore
from tests.benchmarks.serve.closed_loop import Burst, saturate
from tests.benchmarks.serve.extras import Load, flame_graph, soak, swap
from tests.benchmarks.serve.homes import furnish, make_home
from tests.benchmarks.serve.open_loop import measure as measure_latency
from tests.benchmarks.serve.processes import (
    PROGRAM,
    Server,
    empty_server,
    endcap_server,
    memory_of,
)
from tests.benchmarks.serve.shop import bytes_per_row, open_shop
from tests.benchmarks.serve.traffic import Traffic, write_traffic

WARM_UP_S = 2.0
MAX_WARM_UP_S = 60.0
HALF = 0.5


@dataclass(frozen=True)
class Sizes:
    """What to measure, and how long."""

    items: int
    users: int
    seconds: float
    rounds: int = 2
    workers: int = 1
    rate: float | None = None
    swaps: int = 0
    soak_s: float = 0.0
    profile: Path | None = None
    server_cores: tuple[int, ...] = ()
    """Empty: chosen among those that are there; the same for the generators."""
    generator_cores: tuple[int, ...] = ()

    def grown(self, n_items: int) -> Sizes:
        """Return the same for another number of items, without the extras."""
        return replace(self, items=n_items, swaps=0, soak_s=0.0, profile=None)


@dataclass(frozen=True)
class Scene:
    """Who takes part."""

    empty: Server
    warm: Server
    fresh: Server
    traffic: Traffic
    sizes: Sizes
    cores: Sequence[int]
    """Of the servers."""
    pinned: Sequence[int]
    """The cores of the generators."""


@dataclass
class Turns:
    """The bursts of each kind of request."""

    bursts: dict[str, list[Burst]] = field(default_factory=dict)

    def add(self, name: str, burst: Burst) -> None:
        """Keep one burst."""
        self.bursts.setdefault(name, []).append(burst)

    def per_s(self, name: str) -> float:
        """Return the throughput over all turns."""
        bursts = self.bursts[name]
        return sum(one.n_requests for one in bursts) / sum(one.duration_s for one in bursts)

    def cpu_ms(self, name: str) -> float:
        """Return the processor time of one request, of all threads."""
        bursts = self.bursts[name]
        return sum(one.cpu_s for one in bursts) / sum(one.n_requests for one in bursts) * 1000

    def n_failed(self) -> int:
        """Return how many answers were no success."""
        return sum(one.n_failed for bursts in self.bursts.values() for one in bursts)


def measure(root: Path, sizes: Sizes) -> dict[str, Any]:
    """Measure one size of shop."""
    shop = open_shop(root, sizes.items, sizes.users)
    ours, theirs = _share_cores(sorted(os.sched_getaffinity(0)), sizes.workers)
    ours, theirs = sizes.server_cores or ours, sizes.generator_cores or theirs
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=root)))
        traffic = write_traffic(folder, sizes.items, sizes.users)
        empty = stack.enter_context(empty_server(pinned=ours))
        warm = stack.enter_context(shop_server(folder / "warm", shop, sizes.workers, ours))
        fresh = stack.enter_context(shop_server(folder / "fresh", shop, sizes.workers, ours))
        result: dict[str, Any] = {**machine(), **_sizes(sizes, shop), "start_s": warm.start_s}
        scene = Scene(empty, warm, fresh, traffic, sizes, ours, theirs)
        turns = _saturations(scene)
        result |= _throughput(turns, traffic)
        result |= _latencies(scene, turns)
        result |= _state(warm)
        result["n_failed"] += turns.n_failed()
        rate = result["latency_rate_per_s"]
        load = Load(rate, sizes.seconds, theirs)
        if sizes.swaps:
            result |= _swaps(scene, folder, shop, load)
        if sizes.soak_s:
            result["soak"] = soak(warm, traffic, replace(load, seconds=sizes.soak_s))
        if sizes.profile is not None:
            flame_graph(warm, traffic, sizes.profile, theirs)
    return result


@contextmanager
def shop_server(
    home: Path,
    shop: Path,
    n_workers: int,
    pinned: Sequence[int],
    *options: str,
    program: str = PROGRAM,
) -> Iterator[Server]:
    """Run a server of a shop with what is measured on its pages, until the block ends."""
    home.mkdir()
    options = ("--workers", str(n_workers), *options)
    with endcap_server(make_home(home, shop), *options, pinned=pinned, program=program) as server:
        furnish(server)
        yield server


def _share_cores(cores: list[int], n_workers: int) -> tuple[Sequence[int], Sequence[int]]:
    """Give servers and generators cores of their own, as far as there are any."""
    if len(cores) < 3 or n_workers >= len(cores):
        return cores, cores
    n = max(n_workers, len(cores) - 2)
    return cores[:n], cores[n:]


def _saturations(scene: Scene) -> Turns:
    empty, warm, traffic, pinned = scene.empty, scene.warm, scene.traffic, scene.pinned
    turns = Turns()
    seconds = scene.sizes.seconds / scene.sizes.rounds
    saturate(empty, traffic.empty, WARM_UP_S, pinned=pinned)
    warm_up(warm, traffic, pinned)
    n_new = 0
    for _ in range(scene.sizes.rounds):
        for name, server, requests in (
            ("empty", empty, traffic.empty),
            ("placement", warm, traffic.placement),
            ("page_warm", warm, traffic.page_warm),
            ("page_quiet", warm, traffic.page_quiet),
        ):
            turns.add(name, saturate(server, requests, seconds, pinned=pinned))
        new = saturate(
            scene.fresh,
            traffic.page_new_user,
            seconds,
            skip=n_new % traffic.n_new_users,
            pinned=pinned,
        )
        turns.add("page_new_user", new)
        n_new += new.n_requests
    return turns


def warm_up(
    server: Server,
    traffic: Traffic,
    pinned: Sequence[int],
    n_times: int = 1,
    limit_s: float = MAX_WARM_UP_S,
) -> None:
    """Let every shopper of the file come so often."""
    n, end_s = 0, time.monotonic() + limit_s
    while n < n_times * traffic.n_pages and time.monotonic() < end_s:
        n += saturate(
            server, traffic.page_quiet, WARM_UP_S, skip=n % traffic.n_pages, pinned=pinned
        ).n_requests


def _throughput(turns: Turns, traffic: Traffic) -> dict[str, Any]:
    per_s = {name: turns.per_s(name) for name in turns.bursts}
    # The events between the pages are load, but they are no pages.
    per_s["page_warm"] *= traffic.page_share
    cpu_ms = {name: turns.cpu_ms(name) for name in turns.bursts}
    cpu_ms["page_warm"] /= traffic.page_share
    result: dict[str, Any] = {
        "per_s": {name: round(value, 1) for name, value in per_s.items()},
        "cpu_ms_per_request": {name: round(value, 4) for name, value in cpu_ms.items()},
    }
    for name in ("placement", "page_warm", "page_quiet", "page_new_user"):
        result[f"ratio_{name}"] = round(per_s[name] / per_s["empty"], 3)
        result[f"ratio_cpu_{name}"] = round(cpu_ms["empty"] / cpu_ms[name], 3)
    result["n_new_user_pages"] = sum(one.n_requests for one in turns.bursts["page_new_user"])
    result["n_new_users"] = traffic.n_new_users
    return result


def _latencies(scene: Scene, turns: Turns) -> dict[str, Any]:
    empty, warm, traffic, pinned = scene.empty, scene.warm, scene.traffic, scene.pinned
    sizes = scene.sizes
    rate = sizes.rate or HALF * turns.per_s("page_warm")
    of_empty = measure_latency(empty, traffic.empty, rate, sizes.seconds, pinned)
    of_page = measure_latency(warm, traffic.page_warm, rate, sizes.seconds, pinned)
    one = {
        name: saturate(server, requests, 2, connections=1, pinned=pinned)
        for name, server, requests in (
            ("empty", empty, traffic.empty),
            ("placement", warm, traffic.placement),
        )
    }
    return {
        "latency_rate_per_s": round(rate, 1),
        "latency_empty": vars(of_empty),
        "latency_page_warm": vars(of_page),
        "ratio_p99_page_warm": round(of_page.p99_ms / of_empty.p99_ms, 2),
        "sequential_p50_ms": {name: burst.p50_ms for name, burst in one.items()},
        "n_failed": of_empty.n_failed + of_page.n_failed,
    }


def _swaps(scene: Scene, folder: Path, shop: Path, load: Load) -> dict[str, Any]:
    """Swap the model of a server that is warm, and then of fresh ones, for one run says little.

    The p99 of some seconds hangs on a few pauses that the machine makes by itself.
    """
    traffic, sizes = scene.traffic, scene.sizes
    size = (sizes.items, sizes.users)
    swaps = [swap(scene.warm, folder / "warm", size, traffic, load)]
    for n in range(1, sizes.swaps):
        home = folder / f"swap-{n}"
        with shop_server(home, shop, sizes.workers, scene.cores) as server:
            warm_up(server, traffic, scene.pinned)
            swaps.append(swap(server, home, size, traffic, load))
    ratios = [one["ratio_p99"] for one in swaps]
    return {"swaps": swaps, "ratio_p99_swap": round(median(ratios), 2)}


def _state(server: Server) -> dict[str, Any]:
    metrics = server.metrics()
    prefix = "endcap_placements_served_total{"
    served = {name: n for name, n in metrics.items() if name.startswith(prefix)}
    total = sum(served.values())
    return {
        "tier_shares": {
            name.removeprefix(prefix).rstrip("}"): round(n / total, 4)
            for name, n in sorted(served.items())
        },
        "exposures": {
            name.removeprefix("endcap_exposures_").removesuffix("_total"): int(value)
            for name, value in metrics.items()
            if name.startswith("endcap_exposures_") and name.endswith("_total")
        },
        "memory_mb": [vars(memory_of(pid)) for pid in server.workers()],
        "scorer_memory_mb": [vars(memory_of(pid)) for pid in server.scorer()],
    }


def _sizes(sizes: Sizes, shop: Path) -> dict[str, Any]:
    store = ArtifactStore(shop)
    live = store.live_version()
    assert live is not None
    per_item, per_user = bytes_per_row(store.open(live))
    return {
        "items": sizes.items,
        "users": sizes.users,
        "seconds": sizes.seconds,
        "workers": sizes.workers,
        "bytes_per_item": round(per_item, 1),
        "bytes_per_user": round(per_user, 1),
    }


def machine() -> dict[str, Any]:
    """Name the machine, and the versions of what serves."""
    names = ("litestar", "uvicorn", "uvloop", "httptools", "msgspec", "numpy")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "load_before": round(os.getloadavg()[0], 1),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in names}},
    }
