"""Time and memory of a whole `endcap train` beside the raw `implicit` fit, in one process each.

    python -m tests.benchmarks.train [--interactions FILE] [--rounds N] [--json]

Without a file it is Yelp2018 of the shared data. Both sides run with the same factors, iterations
and threads; the raw side gets the finished matrix and is measured from the call of ``fit``. On a
busy machine ``cpu_ratio``, of processor time, says more than ``ratio``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
YELP = Path("yelp2018") / "train.parquet"
_RAW = """
import json, resource, sys, time
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits
from models.histories import Histories
from models.recommenders.blocks import n_threads
from models.recommenders.settings import Settings
from training.load import load_dataset
from training.mapping import Mapping

dataset = load_dataset(
    [sys.argv[1]], (), Mapping(), pseudonym=lambda user_id: user_id, rejects=None
).dataset
settings = Settings()
now_ms = int(dataset.interactions.at_ms.max())
histories = Histories.of(dataset.interactions, dataset.n_users, now_ms)
weights = histories.weights(settings.blend, dataset.n_items)
weights.data = 1.0 + settings.alpha * weights.data / weights.data.mean()
model = AlternatingLeastSquares(
    factors=min(settings.factors, *weights.shape),
    regularization=settings.regularization,
    alpha=1.0,
    iterations=settings.iterations,
    num_threads=n_threads(),
    random_state=1,
)
begin, begin_cpu = time.perf_counter(), time.process_time()
with threadpool_limits(limits=1, user_api="blas"):
    model.fit(weights, show_progress=False)
print(json.dumps({
    "seconds": time.perf_counter() - begin,
    "cpu_seconds": time.process_time() - begin_cpu,
    "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    "factors": settings.factors,
    "iterations": settings.iterations,
}))
"""
_WHOLE = """
import json, resource, sys, time
begin = time.perf_counter()
import endcap
try:
    endcap.main()
finally:
    print(json.dumps({
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time(),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }), file=sys.stderr)
"""


def measure(interactions: Path, rounds: int) -> dict[str, Any]:
    """Run both sides `rounds` times in turn and keep the fastest of each."""
    raw, whole = [], []
    for _ in range(rounds):
        raw.append(_last_line(_run(_RAW, str(interactions)).stdout))
        with tempfile.TemporaryDirectory() as home:
            arguments = ["train", "--interactions", str(interactions), "--home", home]
            done = _run(_WHOLE, *arguments, "--tune-seconds", "0", "--force", "--json")
        whole.append(
            {**_last_line(done.stderr), "steps": _last_line(done.stdout).get("seconds", {})}
        )
    fastest_raw = min(raw, key=lambda found: found["seconds"])
    fastest_whole = min(whole, key=lambda found: found["seconds"])
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "raw": fastest_raw,
        "whole": fastest_whole,
        "cpu_ratio": min(w["cpu_seconds"] for w in whole) / min(r["cpu_seconds"] for r in raw),
        "ratio": fastest_whole["seconds"] / fastest_raw["seconds"],
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("ENDCAP_SHARED_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--interactions", type=Path, default=shared / YELP)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="on one line")
    chosen = parser.parse_args()
    found = measure(chosen.interactions, chosen.rounds)
    sys.stdout.write(json.dumps(found, indent=None if chosen.json else 2) + "\n")


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments} failed: {done.stderr[-2000:]}")
    return done


def _last_line(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
