"""Keeps a process that works candidates of all users ahead, once per model version and machine.

It runs when the machine has nothing else to do, so that pages do not pay for it. The first worker
that opens a version starts it and holds it; all workers map what it writes.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

import msgspec
import structlog

from models.artifact import ArtifactStore
from models.ready_candidates import ReadyCandidates, can_be_ready, make_room, ready_name
from models.snapshot import Snapshot
from service.quiet_start import QuietProcess
from service.serve.model_segments import KnownBy
from service.spare_cores import apart_from

MIN_USERS = 2_000
"""Below it, working them out as they come costs less than a process."""
STOP_S = 5.0

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_FIRST = "service.step_back"
_MODULE = "service.readying_process"

log = structlog.get_logger(__name__)


class Readying:
    """Candidates worked out ahead, and the process of this worker that does it, if any."""

    def __init__(self, home: Path, artifacts: ArtifactStore, min_users: int = MIN_USERS) -> None:
        self._home = home
        self._artifacts = artifacts
        self._min_users = min_users
        self._process: QuietProcess | None = None
        self._working_on: Path | None = None

    def open(self, snapshot: Snapshot, first: Sequence[KnownBy]) -> ReadyCandidates | None:
        """Map what is there or being made of a snapshot; shoppers `first` are worked out first."""
        if len(snapshot.users.ids) < self._min_users or not can_be_ready(snapshot):
            return None
        whole = self._artifacts.cache_folder(snapshot.version) / ready_name(snapshot.manifest)
        part = whole.with_name(f"{whole.name}.{boot_id()}.part")
        if self._working_on != whole:
            self.close()
        try:
            return ReadyCandidates(snapshot, self._complete(snapshot, whole, part, first))
        except (OSError, ValueError) as error:  # pages are answered without, only slower
            log.warning("candidates_not_ready", version=snapshot.version, reason=str(error))
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the process; what it has done is kept."""
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
        lock = os.open(whole.with_name(f"{whole.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not whole.exists():
                    make_room(snapshot, part)
                    self._start(snapshot.version, whole, part, first, lock)
                    return part
        finally:
            os.close(lock)  # the process goes on holding it
        if whole.exists():
            return whole
        make_room(snapshot, part)
        return part

    def _start(
        self, version: str, whole: Path, part: Path, first: Sequence[KnownBy], lock: int
    ) -> None:
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


def _tell_end(version: str, exit_code: int) -> None:
    """Log that somebody killed the process, such as a system without memory; it says the rest."""
    if exit_code < 0 and exit_code != -signal.SIGTERM:
        log.warning(
            "candidates_interrupted",
            version=version,
            exit_code=exit_code,
            next_step="pages of users it has not done take longer; it goes on at the next start",
        )


def boot_id() -> str:
    """Name this run of the machine: what was half written before a crash may be half on disk."""
    try:
        return _BOOT.read_text().strip()[:8]
    except OSError:
        return "boot"
