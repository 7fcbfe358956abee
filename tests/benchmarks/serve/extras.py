"""What a run measures only when it is asked: a swap of the model, a soak, a flame graph."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.artifact import ArtifactStore
from models.errors import ConfigError
from tests.benchmarks.serve.closed_loop import saturate
from tests.benchmarks.serve.open_loop import measure as measure_latency
from tests.benchmarks.serve.processes import Server, memory_of
from tests.benchmarks.serve.shop import make_snapshot
from tests.benchmarks.serve.traffic import Traffic

PROFILE_S = 10
SWAP_S = 4.0
"""Shortest run around a swap: workers look for a new version once a second, and then open it."""


@dataclass(frozen=True)
class Load:
    """How much, how long, from which cores."""

    rate_per_s: float
    seconds: float
    pinned: Sequence[int]


def swap(
    server: Server,
    home: Path,
    sizes: tuple[int, int],
    traffic: Traffic,
    load: Load,
) -> dict[str, Any]:
    """Promote another version a third of the way into a run, and compare with a run without.

    Known shoppers go on moving to it for a while, so the run after is measured too.
    """
    store = ArtifactStore(home)
    version = store.publish(make_snapshot(home, *sizes, seed=2))
    store.open(version)  # the copy is made once per machine, not by the server under load
    seconds = max(load.seconds, SWAP_S)
    before = measure_latency(server, traffic.page_warm, load.rate_per_s, seconds, load.pinned)
    promotion = threading.Timer(seconds / 3, store.promote, [version])
    promotion.start()
    during = measure_latency(server, traffic.page_warm, load.rate_per_s, seconds, load.pinned)
    promotion.join()
    after = measure_latency(server, traffic.page_warm, load.rate_per_s, load.seconds, load.pinned)
    shown = server.metrics().get(f'endcap_model_info{{version="{version}"}}')
    return {
        "is_swapped": shown == 1.0,
        "n_failed": before.n_failed + during.n_failed + after.n_failed,
        "before": asdict(before),
        "during": asdict(during),
        "after": asdict(after),
        "ratio_p99": round(during.p99_ms / before.p99_ms, 2),
        "ratio_p99_after": round(after.p99_ms / before.p99_ms, 2),
    }


def soak(server: Server, traffic: Traffic, load: Load) -> list[dict[str, Any]]:
    """Load the server for long; return latency and memory of ten parts."""
    parts = []
    for _ in range(10):
        latency = measure_latency(
            server, traffic.page_warm, load.rate_per_s, load.seconds / 10, load.pinned
        )
        memory = [asdict(memory_of(pid)) for pid in server.workers()]
        parts.append({"at_s": time.monotonic(), **asdict(latency), "memory_mb": memory})
    return parts


def flame_graph(server: Server, traffic: Traffic, path: Path, pinned: Sequence[int]) -> None:
    """Sample the first worker under full load with py-spy."""
    if shutil.which("py-spy") is None:
        raise ConfigError("py-spy is not installed; it draws flame graphs: pip install py-spy")
    command = ["py-spy", "record", "--pid", str(server.workers()[0]), "--output", str(path)]
    command += ["--duration", str(PROFILE_S), "--rate", "500", "--threads"]
    with subprocess.Popen(command):
        saturate(server, traffic.page_quiet, PROFILE_S + 2, pinned=pinned)
