"""How long a change takes from its answer to its effect in every worker and on every stream."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from queue import Empty, Queue

import httpx
import numpy as np

from tests.end_to_end.running_server import RunningServer, assert_live_everywhere, run_server

PATH = "/ofrep/v1/evaluate/flags/flag"
CONTEXT = {"context": {"targetingKey": "u1"}}
FLAG = {
    "share": 1,
    "value_type": "integer",
    "control_value": 0,
    "variants": [{"key": "on", "value": 0}],
}
LIMIT_S = 10.0


class Watcher:
    """A thread that notes when its worker shows each value."""

    def __init__(self, seen: Queue[tuple[int, float]]) -> None:
        self._seen = seen
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join(LIMIT_S)

    def _run(self) -> None:
        raise NotImplementedError


class Poller(Watcher):
    """Asks on one connection, and so one worker, all the time."""

    def __init__(self, server: RunningServer, seen: Queue[tuple[int, float]]) -> None:
        super().__init__(seen)
        self._server = server

    def _run(self) -> None:
        headers = {"X-API-Key": self._server.keys["publishable"]}
        last = 0
        with httpx.Client(verify=False, headers=headers, timeout=LIMIT_S) as client:
            while not self._stop.is_set():
                answer = client.post(self._server.address + PATH, json=CONTEXT).json()
                if answer["value"] != last:
                    last = answer["value"]
                    self._seen.put((last, time.perf_counter()))
                time.sleep(0.002)


class Listener(Watcher):
    """Listens to one stream."""

    def __init__(self, server: RunningServer, seen: Queue[tuple[int, float]]) -> None:
        super().__init__(seen)
        self._server = server

    def _run(self) -> None:
        headers = {"X-API-Key": self._server.keys["publishable"]}
        number = -1  # the first event is the greeting
        with (
            httpx.Client(verify=False, headers=headers, timeout=LIMIT_S) as client,
            client.stream("GET", self._server.address + "/v1/changes") as response,
        ):
            for line in response.iter_lines():
                if line.startswith("data: "):
                    number += 1
                    if number:
                        self._seen.put((number, time.perf_counter()))
                if self._stop.is_set():
                    return


def measure(home: Path, *, workers: int, n_changes: int, n_watchers: int = 24) -> dict[str, object]:
    """Change a flag again and again; return milliseconds until the last of the watchers knew it."""
    with run_server(home, "--workers", str(workers)) as server:
        server.put("/v1/rollouts/flag", FLAG)
        assert_live_everywhere(
            lambda: server.call("POST", PATH, CONTEXT).status_code == 200, n_calls=4 * workers
        )
        time.sleep(1)
        effects: Queue[tuple[int, float]] = Queue()
        receipts: Queue[tuple[int, float]] = Queue()
        watchers: list[Watcher] = [Poller(server, effects) for _ in range(n_watchers)]
        before = _sockets(server.process.pid)
        watchers += [Listener(server, receipts) for _ in range(n_watchers)]
        for watcher in watchers:
            watcher.start()
        time.sleep(1)
        after = _sockets(server.process.pid)
        covered = sum(after[pid] > before.get(pid, 0) for pid in after)
        in_effect, received = [], []
        for number in range(1, n_changes + 1):
            variants = [{"key": "on", "value": number}]
            answer = server.call(
                "PATCH", "/v1/rollouts/flag", {"variants": variants}, scope="admin"
            )
            answered = time.perf_counter()
            assert answer.status_code == 200, answer.text
            in_effect.append(_last(effects, number, n_watchers) - answered)
            received.append(_last(receipts, number, n_watchers) - answered)
        for watcher in watchers[:n_watchers]:
            watcher.stop()
    return {
        "workers": workers,
        "workers watched": covered,
        "changes": n_changes,
        "effect in every worker, ms": _percentiles(in_effect),
        "receipt on every stream, ms": _percentiles(received),
    }


def _last(seen: Queue[tuple[int, float]], number: int, n: int) -> float:
    """Wait until all have seen a change and say when the last one did."""
    moments: list[float] = []
    while len(moments) < n:
        try:
            found, moment = seen.get(timeout=LIMIT_S)
        except Empty:
            raise AssertionError(f"{len(moments)} of {n} saw change {number}") from None
        if found == number:
            moments.append(moment)
    return max(moments)


def _sockets(supervisor: int) -> dict[int, int]:
    """Count the sockets of each process of the server; nothing where /proc is missing."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children")
    if not children.exists():
        return {}
    counts = {}
    for child in map(int, children.read_text().split()):
        links = [str(path.readlink()) for path in Path(f"/proc/{child}/fd").iterdir()]
        counts[child] = sum(link.startswith("socket:") for link in links)
    return counts


def _percentiles(seconds: list[float]) -> dict[str, float]:
    values = np.array(seconds) * 1000
    return {
        name: round(float(np.percentile(values, at)), 1)
        for name, at in (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100))
    }
