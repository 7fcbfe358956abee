"""The servers that are measured, as processes of their own, and what /proc says of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.child_processes import children

PROGRAM = "import endcap; endcap.main()"
READY_S = 120.0
AWAKE_S = 0.3
"""Until workers that rested have answered their supervisor."""
STOP_S = 30.0
_LOG_PROCESS = "service.processes.log_server"
_SCORER = "service.processes.scorer"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    address: str
    process: subprocess.Popen[str]
    start_s: float
    """From the start of the process to ready."""
    keys: dict[str, str]

    def workers(self) -> list[int]:
        """Return the processes that answer requests."""
        found = children(self.process.pid)
        return [pid for pid, command in found.items() if _is_worker(command)] or [self.process.pid]

    def log_process(self) -> list[int]:
        """Return the process that writes the log, if there is one."""
        found = children(self.process.pid)
        return [pid for pid, command in found.items() if _LOG_PROCESS in command]

    def scorer(self) -> list[int]:
        """Return the process that scores shoppers who have just acted, if there is one."""
        found = children(self.process.pid)
        return [pid for pid, command in found.items() if _SCORER in command]

    def cpu_s(self) -> float:
        """Return the processor time spent so far, of all workers, for log and scorer."""
        return sum(map(_cpu_s, self.workers() + self.log_process() + self.scorer()))

    def loop_cpu_s(self) -> float:
        """Return the processor time of the workers' event loops, each in its first thread."""
        return sum(_cpu_s(f"{pid}/task/{pid}") for pid in self.workers())

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Let none of its processes run until the block ends, whatever they have left to do."""
        own = self.process.pid
        os.kill(own, signal.SIGSTOP)
        theirs = list(children(own))
        for pid in theirs:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in theirs:
                os.kill(pid, signal.SIGCONT)
            # It kills a worker that has not answered in time, and may have asked before it rested.
            time.sleep(AWAKE_S)
            os.kill(own, signal.SIGCONT)

    def metrics(self) -> dict[str, float]:
        """Return the value of every series at /metrics."""
        text = httpx.get(
            f"{self.address}/metrics", headers={"X-API-Key": self.keys["admin"]}, timeout=20
        ).text
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}


@dataclass(frozen=True)
class Memory:
    """Memory of one process in MB: what only it has, and what is mapped from files."""

    written_mb: float
    """What it alone has and has written: what a further worker costs, and the bar counts."""
    mapped_alone_mb: float
    """Clean pages of files, the model's above all, that no other process has touched yet. They
    are the system's cache of the file, which it takes back without a write when it needs room."""
    private_mb: float
    """Both."""
    resident_mb: float
    peak_mb: float


def memory_of(pid: int) -> Memory:
    """Read the memory of a process."""
    rollup = _fields(Path(f"/proc/{pid}/smaps_rollup").read_text())
    status = _fields(Path(f"/proc/{pid}/status").read_text())
    return Memory(
        written_mb=rollup["Private_Dirty"] / 1024,
        mapped_alone_mb=rollup["Private_Clean"] / 1024,
        private_mb=(rollup["Private_Clean"] + rollup["Private_Dirty"]) / 1024,
        resident_mb=rollup["Rss"] / 1024,
        peak_mb=status["VmHWM"] / 1024,
    )


@contextmanager
def endcap_server(
    home: Path,
    *options: str,
    keys: dict[str, str] | None = None,
    pinned: Sequence[int] = (),
    program: str = PROGRAM,
) -> Iterator[Server]:
    """Run `endcap serve` on a free port until the block ends."""
    command = [sys.executable, "-c", program, "serve", "--json"]
    command += ["--home", str(home), "--port", "0", "--log-level", "warning", *options]
    began_s = time.monotonic()
    with _running(command, pinned) as process:
        started = json.loads(_first_line(process))
        address = started["address"]
        _wait_until_ready(f"{address}/health/ready", process)
        start_s = time.monotonic() - began_s
        made = {one["info"]["scope"]: one["key"] for one in started["keys"]}
        yield Server(address, process, start_s, keys or made)


@contextmanager
def empty_server(pinned: Sequence[int] = ()) -> Iterator[Server]:
    """Run the empty handler until the block ends."""
    began_s = time.monotonic()
    with _running([sys.executable, "-m", "tests.benchmarks.serve.empty"], pinned) as process:
        address = f"http://127.0.0.1:{int(_first_line(process))}"
        _wait_until_ready(f"{address}/schema/openapi.json", process)
        yield Server(address, process, time.monotonic() - began_s, {"publishable": "none"})


@contextmanager
def _running(command: list[str], pinned: Sequence[int]) -> Iterator[subprocess.Popen[str]]:
    if pinned:
        command = ["taskset", "--cpu-list", ",".join(map(str, pinned)), *command]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the server did not start: {process.args!r}; see its messages above")
    return line


def _wait_until_ready(url: str, process: subprocess.Popen[str]) -> None:
    end_s = time.monotonic() + READY_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.01)
    raise RuntimeError(f"{url} was not ready within {READY_S:.0f} s")


def _is_worker(command: str) -> bool:
    return not any(
        name in command for name in ("resource_tracker", "readying_process", _LOG_PROCESS, _SCORER)
    )


def _cpu_s(pid: int | str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _fields(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.strip().endswith("kB"):
            found[name] = float(value.split()[0])
    return found
