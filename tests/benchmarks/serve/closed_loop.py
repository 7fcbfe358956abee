"""Finds saturation with Debian's wrk: so many connections that each wait for their answer."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import ConfigError
from tests.benchmarks.serve.processes import Server

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True)
class Burst:
    """What some seconds at full load gave."""

    n_requests: int
    duration_s: float
    n_failed: int
    p50_ms: float
    p99_ms: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Throughput."""
        return self.n_requests / self.duration_s


def check_wrk() -> None:
    """Raise `ConfigError` if wrk is not installed."""
    if shutil.which("wrk") is None:
        raise ConfigError(
            "wrk, which finds saturation, is not installed; "
            "install it (Debian: apt-get install wrk; macOS: brew install wrk)"
        )


def saturate(
    server: Server,
    requests: Path,
    seconds: float,
    *,
    skip: int = 0,
    connections: int = 32,
    pinned: Sequence[int] = (),
) -> Burst:
    """Send a file's requests, from line `skip` on, as fast as they are answered."""
    command = ["wrk", "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{max(round(seconds), 1)}s", "--timeout", "10s"]
    command += ["--script", str(_SCRIPT), server.address, "--"]
    command += [str(requests), server.keys["publishable"], str(skip)]
    if pinned:
        command = ["taskset", "--cpu-list", ",".join(map(str, pinned)), *command]
    cpu_s = server.cpu_s()
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Burst(
        **json.loads(output.rpartition("RESULT ")[2]),
        cpu_s=server.cpu_s() - cpu_s,
    )
