"""Sends requests at a constant rate whatever the answers do, and times each from when it was due.

So a server that stalls is charged for all who would have come meanwhile (coordinated omission is
counted). One thread over non-blocking sockets; it spins, so give it a core of its own.
Run as a program: ``python -m tests.benchmarks.serve.open_loop ADDRESS FILE KEY RATE SECONDS``,
and ``TIMES`` behind it for a file in which each page's time stands (`measure`).
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.serve.processes import Server
from tests.benchmarks.serve.traffic import EVENT_ID

CONNECTIONS = 128
GRACE_S = 10.0
HELD_UP_S = 0.001
"""A turn of the generator's loop takes 5 µs and some 40 a message; one that takes so much longer
lost its core meanwhile."""
MESSAGE_S = 0.0001


@dataclass(frozen=True)
class Latency:
    """Times from due to answered."""

    rate_per_s: float
    n_requests: int
    n_failed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    event_p50_ms: float | None = None
    """Of the events between the pages, which are answered when they are on disk."""
    event_p99_ms: float | None = None


def measure(
    server: Server,
    requests: Path,
    rate_per_s: float,
    seconds: float,
    pinned: Sequence[int] = (),
    *,
    times: Path | None = None,
) -> Latency:
    """Run the generator as a process of its own.

    `times` is written if it is given: of each page when it was due, on the clock of
    `time.perf_counter`, which processes share on Linux, and its latency, both in seconds; then 1 if
    the generator was held up before it read the answer, else 0; shape (n, 3).
    """
    command = [sys.executable, "-m", "tests.benchmarks.serve.open_loop", server.address]
    command += [str(requests), server.keys["publishable"], str(rate_per_s), str(seconds)]
    if times is not None:
        command.append(str(times))
    if pinned:
        command = ["taskset", "--cpu-list", ",".join(map(str, pinned)), *command]
    output = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[3]
    ).stdout
    return Latency(**json.loads(output))


class Generator:
    """Sends what is due on whichever connection is free."""

    def __init__(self, address: str, requests: list[bytes]) -> None:
        split = urlsplit(address)
        self._requests = requests
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._idle: deque[int] = deque()
        self._due_s: dict[int, float] = {}
        self._received: dict[int, bytes] = {}
        self._marker = EVENT_ID.encode()
        self._started_ms = int(time.time() * 1000) % 10**9
        self.latencies_s: list[float] = []
        self.due_s: list[float] = []
        """Of each page, as its latency."""
        self.event_latencies_s: list[float] = []
        self.held_up_s: list[tuple[float, float]] = []
        """From when to when the generator was kept from its work by something else on its core."""
        self._is_event: dict[int, bool] = {}
        self.n_failed = 0
        for _ in range(CONNECTIONS):
            opened = socket.create_connection((split.hostname, split.port))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.setblocking(False)
            self._sockets[opened.fileno()] = opened
            self._poll.register(opened, select.EPOLLIN)
            self._idle.append(opened.fileno())

    @property
    def n_answered(self) -> int:
        """How many requests were answered with success."""
        return len(self.latencies_s) + len(self.event_latencies_s)

    def run(self, rate_per_s: float, seconds: float) -> None:
        """Send for `seconds`, then wait for the answers that are still to come."""
        begin_s = time.perf_counter()
        n, n_wanted = 0, max(int(rate_per_s * seconds), 1)
        end_s = begin_s + seconds + GRACE_S
        turned_s, n_messages = begin_s, 0
        while self.n_answered + self.n_failed < n_wanted:
            now_s = time.perf_counter()
            if now_s - turned_s > HELD_UP_S + n_messages * MESSAGE_S:
                self.held_up_s.append((turned_s, now_s))
            turned_s, n_messages = now_s, 0
            if now_s > end_s:
                self.n_failed = n_wanted - self.n_answered
                return
            while n < n_wanted and self._idle and begin_s + n / rate_per_s <= now_s:
                self._send(self._idle.popleft(), n, begin_s + n / rate_per_s)
                n += 1
                n_messages += 1
            for number, _ in self._poll.poll(0):
                self._receive(number)
                n_messages += 1

    def _send(self, number: int, n: int, due_s: float) -> None:
        request = self._requests[n % len(self._requests)]
        self._is_event[number] = self._marker in request
        if self._is_event[number]:
            request = request.replace(self._marker, b"%09d-%010d" % (self._started_ms, n))
        self._due_s[number] = due_s
        self._received[number] = b""
        self._sockets[number].sendall(request)  # a request fits into the socket's buffer

    def _receive(self, number: int) -> None:
        received = self._received.get(number, b"") + self._sockets[number].recv(262_144)
        self._received[number] = received
        head, blank, body = received.partition(b"\r\n\r\n")
        if not received:
            self.n_failed += 1
            self._poll.unregister(number)
            return
        if not blank or len(body) < _content_length(head):
            return
        if head[9:10] != b"2":
            self.n_failed += 1
        else:
            due_s = self._due_s[number]
            kind = self.event_latencies_s if self._is_event[number] else self.latencies_s
            kind.append(time.perf_counter() - due_s)
            if not self._is_event[number]:
                self.due_s.append(due_s)
        self._idle.append(number)


def met(
    due_s: NDArray[np.float64],
    latencies_s: NDArray[np.float64],
    held_up_s: Sequence[tuple[float, float]],
) -> NDArray[np.bool_]:
    """Tell of each page whether it was sent late or its answer read late, for one of the spans.

    An answer that is read right after a span may have come in it. The spans follow each other;
    `due_s` and `latencies_s` have shape (n,), as what is returned.
    """
    begins, ends = np.array(held_up_s, dtype=np.float64).reshape(-1, 2).T
    return _within(due_s, begins, ends) | _within(due_s + latencies_s, begins, ends + HELD_UP_S)


def _within(
    at_s: NDArray[np.float64], begins_s: NDArray[np.float64], ends_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    # The first span that had not ended by then has begun.
    return np.append(begins_s, np.inf)[np.searchsorted(ends_s, at_s, side="right")] <= at_s


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def read_requests(path: Path, host: str, key: str) -> list[bytes]:
    """Turn the lines of a file into the bytes of requests."""
    requests = []
    for line in path.read_text().splitlines():
        method, target, body = line.split(" ", 2)
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n"
        head += "Content-Type: application/json\r\n"
        requests.append(f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode())
    return requests


def main(arguments: list[str]) -> None:
    """Measure and print one JSON object."""
    address, path, key, rate, seconds, *times = arguments
    generator = Generator(address, read_requests(Path(path), urlsplit(address).netloc, key))
    generator.run(float(rate), float(seconds))
    for written in times:
        due_s, latencies_s = np.array(generator.due_s), np.array(generator.latencies_s)
        is_held_up = met(due_s, latencies_s, generator.held_up_s)
        np.save(written, np.column_stack((due_s, latencies_s, is_held_up)))
    times_ms = np.array(generator.latencies_s or [float("nan")]) * 1000
    p50, p95, p99, p999 = np.percentile(times_ms, [50, 95, 99, 99.9]).round(3).tolist()
    event_p50 = event_p99 = None
    if generator.event_latencies_s:
        events_ms = np.array(generator.event_latencies_s) * 1000
        event_p50, event_p99 = np.percentile(events_ms, [50, 99]).round(3).tolist()
    latency = Latency(
        rate_per_s=float(rate),
        n_requests=generator.n_answered,
        n_failed=generator.n_failed,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        p999_ms=p999,
        max_ms=round(float(times_ms.max()), 3),
        event_p50_ms=event_p50,
        event_p99_ms=event_p99,
    )
    sys.stdout.write(json.dumps(asdict(latency)))


if __name__ == "__main__":
    main(sys.argv[1:])
