"""Draws pictures in a process beside this one, and keeps those it drew."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from hashlib import blake2b
from importlib.resources import files
from threading import Lock, Timer
from typing import Any

import msgspec
import structlog

log = structlog.get_logger(__name__)

LIMIT_S = 20.0
IDLE_S = 600.0
"""How long the process waits for the next picture before it gives its memory back."""
MAX_KEPT = 256
Spec = dict[str, Any]


class Plotter:
    """Blocking, for a thread. Pages are right without pictures, so nothing here is an error."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._kept: OrderedDict[bytes, str] = OrderedDict()
        self._idle: Timer | None = None

    def start(self) -> None:
        """Start the process, so that the first picture need not wait for it."""
        with self._lock:
            self._running()

    def draw(self, spec: Spec) -> str:
        """Return the SVG of a Vega-Lite specification, or nothing if it cannot be drawn."""
        line = msgspec.json.encode(spec)
        key = blake2b(line, digest_size=16).digest()
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                kept = self._ask(line.decode())
                if kept:
                    self._kept[key] = kept
                    while len(self._kept) > MAX_KEPT:
                        self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(key)
            return kept

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            if self._process is not None:
                self._end(self._process)
                self._process = None

    def _ask(self, line: str) -> str:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = Timer(LIMIT_S, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answered = process.stdout.readline()
        except OSError as error:
            log.error("chart_failed", reason=str(error))
            return ""
        finally:
            watchdog.cancel()
        answer = msgspec.json.decode(answered) if answered else {"error": "the process ended"}
        if "error" in answer:
            log.error("chart_failed", reason=answer["error"])
        svg: str = answer.get("svg", "")
        return svg

    def _running(self) -> subprocess.Popen[str]:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = Timer(IDLE_S, self.close)
        self._idle.daemon = True
        self._idle.start()
        if self._process is None or self._process.poll() is not None:
            if self._process is not None:
                self._end(self._process)
            # By its path: importing the service there would cost more than drawing.
            program = str(files("service.console").joinpath("plotter_process.py"))
            self._process = subprocess.Popen(
                [sys.executable, program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        return self._process

    def _end(self, process: subprocess.Popen[str]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    log.debug("chart_pipe_broken")
        process.kill()
        process.wait()
