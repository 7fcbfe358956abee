"""What the exposure log adds to the p99 of `/v1/serve`: the same pages with and without, in turns.

Run as a program it prints one JSON object: ``python -m tests.benchmarks.events.logging_cost``.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import msgspec

from tests.benchmarks.serve.closed_loop import saturate
from tests.benchmarks.serve.homes import furnish, make_home
from tests.benchmarks.serve.open_loop import measure
from tests.benchmarks.serve.processes import Server, endcap_server
from tests.benchmarks.serve.shop import open_shop
from tests.benchmarks.serve.traffic import write_traffic

WITH_LOG = "import endcap; endcap.main()"
WITHOUT_LOG = (
    "from service.intake.pending import ExposureQueue; "
    "ExposureQueue.put_all = lambda self, exposures: len(exposures); " + WITH_LOG
)
N_ITEMS, N_USERS = 5_000, 20_000


class LoggingCost(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the turns."""

    rate_a_second: float
    turns: int
    p50_ms_with: float
    p50_ms_without: float
    p99_ms_with: float
    p99_ms_without: float
    p99_ratio: float
    """Median over the turns of with / without."""
    cpu_ms_with: float
    """A page, of all threads, over all turns: what other work on the machine does not blur."""
    cpu_ms_without: float


def measure_logging(
    root: Path,
    *,
    rate: float,
    seconds: float,
    turns: int,
    n_items: int = N_ITEMS,
    n_users: int = N_USERS,
) -> LoggingCost:
    """Measure both servers `turns` times for `seconds`, one after the other."""
    shop = open_shop(root, n_items, n_users)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=root)))
        pages = write_traffic(folder, n_items, n_users).page_quiet
        cores = sorted(os.sched_getaffinity(0))
        ours, theirs = (cores[:-1], cores[-1:]) if len(cores) > 1 else (cores, cores)
        servers: dict[str, Server] = {}
        for name, program in (("with", WITH_LOG), ("without", WITHOUT_LOG)):
            (folder / name).mkdir()
            home = make_home(folder / name, shop)
            server = endcap_server(home, pinned=ours, program=program)
            servers[name] = stack.enter_context(server)
            furnish(servers[name])
            saturate(servers[name], pages, seconds, pinned=theirs)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
        cpu_s = dict.fromkeys(servers, 0.0)
        n_pages = turns * int(rate * seconds)
        for turn in range(turns):
            for name in sorted(servers, reverse=bool(turn % 2)):
                cpu_s[name] -= servers[name].cpu_s()
                latency = measure(servers[name], pages, rate, seconds, theirs)
                cpu_s[name] += servers[name].cpu_s()
                assert latency.n_failed == 0
                found[name].append((latency.p50_ms, latency.p99_ms))
    p50 = {name: statistics.median(one for one, _ in found[name]) for name in found}
    p99 = {name: statistics.median(one for _, one in found[name]) for name in found}
    ratios = [a / b for (_, a), (_, b) in zip(found["with"], found["without"], strict=True)]
    return LoggingCost(
        rate_a_second=rate,
        turns=turns,
        p50_ms_with=p50["with"],
        p50_ms_without=p50["without"],
        p99_ms_with=p99["with"],
        p99_ms_without=p99["without"],
        p99_ratio=statistics.median(ratios),
        cpu_ms_with=cpu_s["with"] / n_pages * 1000,
        cpu_ms_without=cpu_s["without"] / n_pages * 1000,
    )


def main() -> None:
    """Measure in a folder of its own and print."""
    rate, seconds, turns = (*map(float, sys.argv[1:]), 100.0, 10.0, 6.0)[:3]
    with tempfile.TemporaryDirectory(prefix="endcap-bench-") as name:
        found = measure_logging(Path(name), rate=rate, seconds=seconds, turns=int(turns))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


if __name__ == "__main__":
    main()
