"""What the exposure log adds to the p99 of `/v1/serve`: the same pages with and without, in turns.

One server does both, told by a signal whether to log, for two servers that do the same differ by
more than the log costs. Run as a program it prints one JSON object:
``python -m tests.benchmarks.events.logging_cost``.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

from tests.benchmarks.serve.closed_loop import saturate
from tests.benchmarks.serve.homes import furnish, make_home
from tests.benchmarks.serve.open_loop import Latency, measure
from tests.benchmarks.serve.processes import Server, endcap_server
from tests.benchmarks.serve.shop import open_shop
from tests.benchmarks.serve.traffic import write_traffic

LOG, LOG_NOTHING = signal.SIGUSR1, signal.SIGUSR2
PROGRAM = f"""
import signal
from service.intake.pending import ExposureQueue

put_all = ExposureQueue.put_all

def log(*_):
    ExposureQueue.put_all = put_all

def log_nothing(*_):
    ExposureQueue.put_all = lambda self, exposures: len(exposures)

signal.signal({int(LOG)}, log)
signal.signal({int(LOG_NOTHING)}, log_nothing)

import endcap
endcap.main()
"""
SETTLE_S = 1.0
"""Before a turn: what the one before has put into the queue is on disk."""
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
    """Measure each `turns` times for `seconds`, one after the other."""
    shop = open_shop(root, n_items, n_users)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=root)))
        pages = write_traffic(folder, n_items, n_users).page_quiet
        cores = sorted(os.sched_getaffinity(0))
        ours, theirs = (cores[:-1], cores[-1:]) if len(cores) > 1 else (cores, cores)
        home = make_home(folder, shop)
        server = stack.enter_context(endcap_server(home, pinned=ours, program=PROGRAM))
        furnish(server)
        saturate(server, pages, seconds, pinned=theirs)
        _wait_for_sums(server, seconds)
        found: dict[str, list[Latency]] = {"with": [], "without": []}
        cpu_s = dict.fromkeys(found, 0.0)
        n_pages = turns * int(rate * seconds)
        for turn in range(turns):
            for name in sorted(found, reverse=bool(turn % 2)):
                _tell(server, LOG if name == "with" else LOG_NOTHING)
                n_stored = _n_stored(server)
                cpu_s[name] -= server.cpu_s()
                latency = measure(server, pages, rate, seconds, theirs)
                cpu_s[name] += server.cpu_s()
                assert latency.n_failed == 0
                time.sleep(SETTLE_S)
                assert (_n_stored(server) > n_stored) == (name == "with")
                found[name].append(latency)
    p50 = {name: statistics.median(one.p50_ms for one in found[name]) for name in found}
    p99 = {name: statistics.median(one.p99_ms for one in found[name]) for name in found}
    ratios = [a.p99_ms / b.p99_ms for a, b in zip(found["with"], found["without"], strict=True)]
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


def _tell(server: Server, what: signal.Signals) -> None:
    for pid in server.workers():
        os.kill(pid, what)
    time.sleep(SETTLE_S)


def _n_stored(server: Server) -> float:
    return server.metrics()["endcap_exposures_stored_total"]


def _wait_for_sums(server: Server, seconds: float) -> None:
    """Let the log process add up what the warm-up has stored; it would go on into the turns."""
    for _ in range(int(10 * seconds)):
        before_s = server.cpu_s()
        time.sleep(SETTLE_S)
        if server.cpu_s() - before_s < 0.1 * SETTLE_S:
            return


def main() -> None:
    """Measure in a folder of its own and print."""
    rate, seconds, turns = (*map(float, sys.argv[1:]), 100.0, 10.0, 6.0)[:3]
    with tempfile.TemporaryDirectory(prefix="endcap-bench-") as name:
        found = measure_logging(Path(name), rate=rate, seconds=seconds, turns=int(turns))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


if __name__ == "__main__":
    main()
