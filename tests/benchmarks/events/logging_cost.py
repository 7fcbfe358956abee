"""What the exposure log adds to the p99 of `/v1/serve`: the same pages with and without, in turns.

One server does both, told by a signal whether to log, for two servers that do the same differ by
more than the log costs. Run as a program it prints one JSON object:
``python -m tests.benchmarks.events.logging_cost``.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.serve.closed_loop import saturate
from tests.benchmarks.serve.homes import furnish, make_home
from tests.benchmarks.serve.open_loop import measure
from tests.benchmarks.serve.processes import Server, endcap_server
from tests.benchmarks.serve.shop import open_shop
from tests.benchmarks.serve.traffic import write_traffic
from tests.end_to_end.running_server import wait_until

LOG, LOG_NOTHING = signal.SIGUSR1, signal.SIGUSR2
TWO = (True, False)
PROGRAM = f"""
import signal
from service.intake.exposure_queue import ExposureQueue

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
"""Of a turn: what the one before has put into the queue is on disk, and nothing is measured."""
START_S = 60.0
"""How long the first page may take to come, and the last of a turn to be on disk."""
N_ITEMS, N_USERS = 5_000, 20_000
N_DRAWS = 1_000
"""Of the bootstrap."""


class LoggingCost(msgspec.Struct, frozen=True, kw_only=True):
    """Over the pages of all turns."""

    rate_a_second: float
    turns: int
    p50_ms_with: float
    p50_ms_without: float
    p99_ms_with: float
    p99_ms_without: float
    p99_ratio: float
    """With / without."""
    p99_ratio_low: float
    """Ends of its 90 % interval: a bootstrap that draws pairs of turns."""
    p99_ratio_high: float
    n_held_up_with: int
    """Pages left out, for something else had the generator's core before it read the answer."""
    n_held_up_without: int
    p99_ratio_with_held_up: float
    """The same if they are not left out."""
    cpu_ms_with: float
    """A page, of all threads, over all turns: what other work on the machine does not blur."""
    cpu_ms_without: float


@dataclass(frozen=True)
class Turn:
    """Some seconds of pages, all of them logged or none."""

    is_logged: bool
    begin_s: float
    """When what is measured begins, on the clock of the generator."""
    end_s: float
    cpu_s: float

    def pages(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pick those that were due in this turn; `times` as `open_loop.measure` writes it."""
        due_s = times[:, 0]
        return times[(self.begin_s <= due_s) & (due_s < self.end_s)]


def measure_logging(
    root: Path,
    *,
    rate: float,
    seconds: float,
    turns: int,
    n_items: int = N_ITEMS,
    n_users: int = N_USERS,
) -> LoggingCost:
    """Measure each `turns` times for `seconds` after `SETTLE_S`, without a break between them."""
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
        # The generator sends pages before the first turn, and outlasts the last.
        spare_s = 2 * (SETTLE_S + seconds)
        long_s = spare_s + 2 * turns * (SETTLE_S + seconds + SETTLE_S)
        with ThreadPoolExecutor(1) as beside:
            file = folder / "times.npy"
            n_served = _count(server, "served")
            running = beside.submit(measure, server, pages, rate, long_s, theirs, times=file)
            # It needs a second to start, and longer on a machine that does other things as well.
            wait_until(lambda: _count(server, "served") > n_served or running.done(), START_S)
            time.sleep(spare_s / 2)
            taken = [_take_turn(server, n % 4 in (0, 3), seconds) for n in range(2 * turns)]
            assert running.result().n_failed == 0
        return _compare(rate, taken, np.load(file))


def _take_turn(server: Server, is_logged: bool, seconds: float) -> Turn:
    """Let the server log or not, and see that it does; asking for that is before and after."""
    for pid in server.workers():
        os.kill(pid, LOG if is_logged else LOG_NOTHING)
    time.sleep(SETTLE_S / 2)
    if not is_logged:
        wait_until(lambda: _count(server, "assigned") == _count(server, "stored"), START_S)
    n_stored = _count(server, "stored")
    time.sleep(SETTLE_S / 2)
    begin_s, cpu_s = time.perf_counter(), -server.cpu_s()
    time.sleep(seconds)
    end_s, cpu_s = time.perf_counter(), cpu_s + server.cpu_s()
    assert (_count(server, "stored") > n_stored) == is_logged
    return Turn(is_logged, begin_s, end_s, cpu_s)


def _compare(rate: float, turns: Sequence[Turn], times: NDArray[np.float64]) -> LoggingCost:
    taken = {is_logged: [one for one in turns if one.is_logged == is_logged] for is_logged in TWO}
    found = {is_logged: [one.pages(times) for one in of] for is_logged, of in taken.items()}
    pages = {is_logged: [_unhindered_ms(one) for one in of] for is_logged, of in found.items()}
    every = {is_logged: np.concatenate(of) for is_logged, of in pages.items()}
    all_ms = {is_logged: np.concatenate(of)[:, 1] * 1000 for is_logged, of in found.items()}
    p50 = {is_logged: float(np.percentile(of, 50)) for is_logged, of in every.items()}
    p99 = {is_logged: float(np.percentile(of, 99)) for is_logged, of in every.items()}
    low, high = _interval(pages[True], pages[False])
    cpu_ms = {
        is_logged: sum(one.cpu_s for one in of) / len(all_ms[is_logged]) * 1000
        for is_logged, of in taken.items()
    }
    return LoggingCost(
        rate_a_second=rate,
        turns=len(taken[True]),
        p50_ms_with=p50[True],
        p50_ms_without=p50[False],
        p99_ms_with=p99[True],
        p99_ms_without=p99[False],
        p99_ratio=p99[True] / p99[False],
        p99_ratio_low=low,
        p99_ratio_high=high,
        n_held_up_with=len(all_ms[True]) - len(every[True]),
        n_held_up_without=len(all_ms[False]) - len(every[False]),
        p99_ratio_with_held_up=float(
            np.percentile(all_ms[True], 99) / np.percentile(all_ms[False], 99)
        ),
        cpu_ms_with=cpu_ms[True],
        cpu_ms_without=cpu_ms[False],
    )


def _unhindered_ms(pages: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out pages that met a held-up generator, unless that is most of them."""
    unhindered = pages[:, 2] == 0
    return pages[unhindered if 2 * unhindered.sum() > len(pages) else slice(None), 1] * 1000


def _interval(
    logged: Sequence[NDArray[np.float64]], others: Sequence[NDArray[np.float64]]
) -> tuple[float, float]:
    """Draw pairs of turns with replacement, `N_DRAWS` times; return the 5th and 95th percentile."""
    rng = np.random.default_rng(7)
    ratios = []
    for _ in range(N_DRAWS):
        drawn = rng.integers(len(logged), size=len(logged)).tolist()
        p99 = [np.percentile(np.concatenate([of[n] for n in drawn]), 99) for of in (logged, others)]
        ratios.append(p99[0] / p99[1])
    low, high = np.percentile(ratios, [5, 95]).tolist()
    return low, high


def _count(server: Server, name: str) -> float:
    """Read how many exposures were served, assigned or stored."""
    return server.metrics()[f"endcap_exposures_{name}_total"]


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
