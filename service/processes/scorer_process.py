"""Starts the scorer of a server, and makes what its processes have in common: memory and a line.

Whoever acts is scored anew for their next page, and that is the dearest part of it. Where a core is
left over, another process does it while they look at the page before, see
`service.processes.scorer`. On Linux only, as what several workers share.
"""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.cpu.spare_cores import n_cores
from service.processes.kept_process import KeptProcess
from service.serve.shared_candidates import N_BYTES, new_salt

NICENESS = 10
REST_S = 60.0
"""From one start to the next, for pages are answered without it."""
QUEUE_BYTES = 256 * 1024
"""Of what waits to be scored: some sixty histories, for which it needs 20 ms."""
_FIRST, _MODULE = "service.cpu.step_back", "service.processes.scorer"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CommonGround:
    """What all processes of a server have in common for candidates."""

    memory: mmap.mmap
    descriptor: int
    """Of the memory."""
    salt: bytes
    line: socket.socket | None
    """The end where the scorer is asked, if there is one."""


class ScorerProcess(KeptProcess):
    """The one of a server; it is not started before it is asked for something."""

    def __init__(
        self,
        home: Path,
        common: CommonGround,
        asked: socket.socket,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        passed = common.descriptor, asked.fileno()
        arguments = _FIRST, "--nice", str(NICENESS), _MODULE, str(home), *map(str, passed)
        super().__init__("scorer", arguments, passed)
        self._salt = common.salt
        self._asked = asked
        self._monotonic_s = monotonic_s
        self._rests_until_s = float("-inf")

    def keep(self) -> None:
        """Start the process if it is wanted and does not run, and has not just been started."""
        if self._monotonic_s() < self._rests_until_s or not self._is_wanted():
            return
        super().keep()
        if self.pid is None:  # there was no room for it
            self._rests_until_s = self._monotonic_s() + REST_S

    def stop(self) -> None:
        """End it at once: it has nothing to finish."""
        if self._process is not None:
            self._process.kill()
        super().stop()

    def has_started(self, process: subprocess.Popen[bytes]) -> None:
        """Tell it what nobody else is to see."""
        self._rests_until_s = self._monotonic_s() + REST_S
        assert process.stdin is not None
        with suppress(OSError):  # it has died already
            process.stdin.write(self._salt)
            process.stdin.flush()

    def _is_wanted(self) -> bool:
        if self.pid is not None:
            return True
        try:
            return bool(self._asked.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False


@contextmanager
def common_ground(home: Path, n_workers: int, *, scores: bool) -> Iterator[ScorerProcess | None]:
    """Make what processes have in common until the block ends; give the scorer, if there is one.

    There is where it is wanted and more cores than workers are there. `find_common_ground` finds
    the rest, also in processes that are forked meanwhile.
    """
    global _common  # noqa: PLW0603  # of the process, and of those that are forked from it
    scores = scores and n_cores() > n_workers
    if sys.platform != "linux" or not (scores or n_workers > 1):
        yield None
        return
    with ExitStack() as stack:
        try:
            memory, descriptor = stack.enter_context(_memory())
            line, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:  # a sandbox that has no such thing
            log.warning("candidates_not_shared", reason=str(error))
            yield None
            return
        stack.enter_context(line)
        stack.enter_context(asked)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, QUEUE_BYTES)
        _common = CommonGround(memory, descriptor, new_salt(), line if scores else None)
        scorer = ScorerProcess(home, _common, asked) if scores else None
        try:
            yield scorer
        finally:
            _common = None
            if scorer is not None:
                scorer.stop()


def find_common_ground() -> CommonGround | None:
    """Return what this process has in common with others of its server, if there is anything."""
    return _common


@contextmanager
def _memory() -> Iterator[tuple[mmap.mmap, int]]:
    """Make memory that takes none until somebody writes there."""
    descriptor = os.memfd_create("endcap-candidates")
    try:
        os.ftruncate(descriptor, N_BYTES)
        with mmap.mmap(descriptor, N_BYTES) as memory:
            yield memory, descriptor
    finally:
        os.close(descriptor)


_common: CommonGround | None = None
