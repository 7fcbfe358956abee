"""Reports a long log in a process of its own, and measures time and memory."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import msgspec

from service.reports.gather import report_epochs


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one report cost."""

    seconds: float
    cpu_seconds: float
    """Without what other work on the machine took."""
    peak_mib: float
    exposures: int


def main() -> None:
    """Print one JSON object for the event store in the first argument."""
    started, started_cpu = time.perf_counter(), time.process_time()
    report = report_epochs(Path(sys.argv[1]), "bench", {}, at_ms=0)
    found = Measured(
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - started_cpu,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        exposures=sum(arm.exposures for arm in report.arms),
    )
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


if __name__ == "__main__":
    main()
