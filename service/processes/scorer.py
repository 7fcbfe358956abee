"""The scorer: works out what shoppers who have just acted like, before they come back.

``python -m service.processes.scorer HOME MEMORY LINE``, with the numbers of two descriptors,
started by `service.processes.scorer_process` with what the system has left over. Workers send
histories; what comes of one is left in the memory that all share, where the page finds it as if
another worker had been asked for it before. It holds nothing of its own but the versions of the
model that are asked for, and goes when its standard input ends, whose first bytes are the salt of
that memory.
"""

from __future__ import annotations

import mmap
import os
import selectors
import socket
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from models.artifact import ArtifactStore
from models.candidates import HEAD, best_candidates, history_shares
from models.errors import EndcapError
from models.heaps import KEPT_FREE_BYTES, share_heaps
from models.ready_candidates import ready_name
from models.snapshot import Snapshot
from service.cpu.spare_cores import SpareCores
from service.serve.scorer_wire import MAX_BYTES, Asked, decode
from service.serve.shared_candidates import (
    N_BYTES,
    SALT_BYTES,
    CandidatesOfVersion,
    SharedCandidates,
)
from service.telemetry.logs import configure_logs

_MAX_WORKERS = 64
"""Whose cores are kept off; a worker that died is forgotten with all others, and they ask again."""

log = structlog.get_logger(__name__)


class _Version(NamedTuple):
    """A version as it is asked for."""

    snapshot: Snapshot
    shared: CandidatesOfVersion


class Scorer:
    """Works histories out, one after the other."""

    def __init__(
        self,
        open_version: Callable[[str], Snapshot],
        shared: SharedCandidates,
        keep_off: Callable[[Collection[int]], None] = lambda _pids: None,
    ) -> None:
        self._open_version = open_version
        self._shared = shared
        self._keep_off = keep_off
        self._workers: set[int] = set()
        self._versions: dict[str, _Version | None] = {}
        """By name, the newest two; nothing where one cannot be opened, which is told once."""

    def answer(self, asked: Asked) -> None:
        """Leave what a history brings up to whoever will ask for it."""
        if len(self._workers) >= _MAX_WORKERS:
            self._workers.clear()
        self._workers.add(asked.pid)
        self._keep_off(self._workers)
        version = self._version(asked)
        if version is None:
            return
        snapshot, history = version.snapshot, asked.history
        shares = history_shares(snapshot, history)
        version.shared.keep(history, shares, best_candidates(snapshot, history, shares, HEAD))

    def _version(self, asked: Asked) -> _Version | None:
        if asked.name not in self._versions:
            while len(self._versions) > 1:
                del self._versions[next(iter(self._versions))]
            self._versions[asked.name] = self._open(asked)
        return self._versions[asked.name]

    def _open(self, asked: Asked) -> _Version | None:
        try:
            snapshot = self._open_version(asked.version)
        except (EndcapError, OSError, ValueError) as error:
            log.warning("scorer_without_version", version=asked.version, reason=str(error))
            return None
        if ready_name(snapshot.manifest) != asked.name:
            return None  # somebody was erased meanwhile: another one will be asked for
        return _Version(snapshot, self._shared.of(snapshot.manifest))


def run(scorer: Scorer, line: socket.socket, stop_descriptor: int) -> None:
    """Answer what comes until nobody holds the other end of `stop_descriptor`."""
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        selector.register(stop_descriptor, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if stop_descriptor in ready and not os.read(stop_descriptor, 1):
                return
            if line.fileno() in ready:
                scorer.answer(decode(line.recv(MAX_BYTES)))


def main(arguments: list[str]) -> int:
    """Serve the workers of one server."""
    home, descriptor, line = arguments
    share_heaps(1, KEPT_FREE_BYTES)
    configure_logs(os.environ.get("ENDCAP_LOG_LEVEL", "info"))
    salt = os.read(sys.stdin.fileno(), SALT_BYTES)
    with (
        mmap.mmap(int(descriptor), N_BYTES) as memory,
        socket.socket(fileno=int(line)) as asked,
    ):
        shared = SharedCandidates(memory, salt=salt)
        scorer = Scorer(ArtifactStore(Path(home)).open, shared, SpareCores().keep_off)
        try:
            run(scorer, asked, sys.stdin.fileno())
        except msgspec.MsgspecError as error:  # of another release, while one replaces the other
            log.error("scorer_not_understood", error=str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
