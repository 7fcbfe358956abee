"""Keeps a process that works candidates of all users ahead, once per model version and machine.

It runs when the machine has nothing else to do, so that pages do not pay for it. The first worker
that opens a version starts it and holds it; all workers map what it writes. Where that worker ends
before it is done, as one that is renewed does, another one goes on.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self

import msgspec
import structlog

from models.artifact import ArtifactStore
from models.ready_candidates import ReadyCandidates, can_be_ready, make_room, ready_name
from models.snapshot import Snapshot
from service.cpu.spare_cores import apart_from
from service.processes.quiet_start import QuietProcess
from service.serve.model_segments import KnownBy

MIN_USERS = 2_000
"""Below it, working them out as they come costs less than a process."""
STOP_S = 5.0
LOOK_S = 15.0
"""How often a worker looks whether what another one has begun goes on."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_FIRST = "service.cpu.step_back"
_MODULE = "service.processes.readying_process"

log = structlog.get_logger(__name__)


class _Begun(NamedTuple):
    """What another worker's process fills."""

    version: str
    whole: Path
    part: Path


class Readying:
    """Candidates worked out ahead, and the process of this worker that does it, if any."""

    def __init__(self, home: Path, artifacts: ArtifactStore, min_users: int = MIN_USERS) -> None:
        self._home = home
        self._artifacts = artifacts
        self._min_users = min_users
        self._process: QuietProcess | None = None
        self._working_on: Path | None = None
        self._lock = Lock()
        """Of whoever starts or stops a process: versions are opened in threads."""
        self._others: _Begun | None = None

    def open(self, snapshot: Snapshot, first: Sequence[KnownBy]) -> ReadyCandidates | None:
        """Map what is there or being made of a snapshot; shoppers `first` are worked out first."""
        with self._lock:
            return self._open(snapshot, first)

    def _open(self, snapshot: Snapshot, first: Sequence[KnownBy]) -> ReadyCandidates | None:
        self._others = None
        if len(snapshot.users.ids) < self._min_users or not can_be_ready(snapshot):
            return None
        whole = self._artifacts.cache_folder(snapshot.version) / ready_name(snapshot.manifest)
        part = whole.with_name(f"{whole.name}.{boot_id()}.part")
        if self._working_on != whole:
            self._stop()
        try:
            return ReadyCandidates(snapshot, self._complete(snapshot, whole, part, first))
        except (OSError, ValueError) as error:  # pages are answered without, only slower
            log.warning("candidates_not_ready", version=snapshot.version, reason=str(error))
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def watch(self) -> None:
        """Go on, until cancelled, with what other workers had begun."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._others is not None:
                await asyncio.to_thread(self.go_on)

    def go_on(self) -> None:
        """Go on with what another worker had begun and no process fills any more, once."""
        with self._lock:
            begun = self._others
            if begun is None:
                return
            if begun.whole.exists() or not begun.part.exists():
                self._others = None
                return
            try:
                with _held(begun.whole) as lock:
                    if lock is not None:
                        self._others = None
                        self._start(begun, (), lock)
            except OSError as error:
                self._others = None
                log.warning("candidates_not_ready", version=begun.version, reason=str(error))

    def close(self) -> None:
        """Stop the process; what it has done is kept."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(STOP_S)

    def _complete(
        self, snapshot: Snapshot, whole: Path, part: Path, first: Sequence[KnownBy]
    ) -> Path:
        """Return the file that is whole, or else the one that somebody is filling."""
        if whole.exists():
            return whole
        begun = _Begun(snapshot.version, whole, part)
        with _held(whole) as lock:
            if lock is not None and not whole.exists():
                make_room(snapshot, part)
                self._start(begun, first, lock)
                return part
        if whole.exists():
            return whole
        make_room(snapshot, part)
        self._others = begun
        return part

    def _start(self, begun: _Begun, first: Sequence[KnownBy], lock: int) -> None:
        version, whole, part = begun
        self._working_on = whole
        with apart_from(os.getpid()) as given:
            cores = ",".join(map(str, sorted(given)))
            arguments = map(str, (self._home, version, whole, part, os.getpid(), cores))
            self._process = QuietProcess(
                [sys.executable, "-m", _FIRST, _MODULE, *arguments],
                {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                msgspec.json.encode(first),
                lock,
                partial(_tell_end, version),
            )


@contextmanager
def _held(whole: Path) -> Iterator[int | None]:
    """Hold the lock of a file; nothing if a process of some worker does.

    A process that was given the descriptor goes on holding it.
    """
    lock = os.open(whole.with_name(f"{whole.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield lock
    finally:
        os.close(lock)


def _tell_end(version: str, exit_code: int) -> None:
    """Log that somebody killed the process, such as a system without memory; it says the rest."""
    if exit_code < 0 and exit_code != -signal.SIGTERM:
        log.warning(
            "candidates_interrupted",
            version=version,
            exit_code=exit_code,
            next_step="pages of users it has not done take longer; each other worker tries once "
            "to go on, and so does the next start",
        )


def boot_id() -> str:
    """Name this run of the machine: what was half written before a crash may be half on disk."""
    try:
        return _BOOT.read_text().strip()[:8]
    except OSError:
        return "boot"
