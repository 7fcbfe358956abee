"""Worker processes that share the memory of what they import, 70 MB of each one's own before.

The supervisor imports the service and builds the app once, and forks its workers, so a page of
memory is copied only where a worker writes to it, and connections are shared out evenly, see
`service.protocol.connection_sharing`. Elsewhere than on Linux each worker starts from nothing, as
uvicorn has it: frameworks of macOS do not survive a fork.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import multiprocessing
import signal
import sys
from collections.abc import Callable
from socket import socket
from typing import ClassVar

import uvicorn
from uvicorn._subprocess import subprocess_started
from uvicorn.supervisors import multiprocess

from service.protocol.connection_sharing import ConnectionBoard, SharingLoop

MAX_WORKERS = 256
"""More than `service.settings` allows."""
_FORK = multiprocessing.get_context("fork")
_CAUGHT = frozenset(multiprocess.SIGNALS)


def fork_workers(*shared: str) -> None:
    """Make what workers need, and let uvicorn fork them; for a process without threads.

    What is shared is named as a module to import, or as ``module:function`` to call.
    """
    if sys.platform != "linux":
        return
    for name in shared:
        module, _, function = name.partition(":")
        imported = importlib.import_module(module)
        if function:
            getattr(imported, function)()
    # A collection would write to each object that it looks at, and so copy all of them.
    gc.collect()
    gc.freeze()
    multiprocess.get_subprocess = _forked  # type: ignore[attr-defined,assignment]  # no other way in


def make_loop() -> asyncio.AbstractEventLoop:
    """Make the event loop of the worker that this process is; uvicorn finds it by its name."""
    worker = multiprocessing.current_process()
    assert isinstance(worker, _Worker)
    return SharingLoop(_board, worker.slot)


def is_one_of_several() -> bool:
    """Say whether this process is a worker that has others beside it."""
    return isinstance(multiprocessing.current_process(), _Worker)


_board = ConnectionBoard(MAX_WORKERS)


class _Worker(_FORK.Process):  # type: ignore[name-defined,misc]  # a context has it as an attribute
    slots: ClassVar[dict[int, _Worker]] = {}
    """In the supervisor: who has which slot of the board."""
    slot: int

    def start(self) -> None:
        """Start without a moment in which the worker has the supervisor's handlers of signals."""
        for slot, other in list(self.slots.items()):
            if not other.is_alive():
                _board.clear(slot)
                del self.slots[slot]
        self.slot = next(slot for slot in range(MAX_WORKERS) if slot not in self.slots)
        self.slots[self.slot] = self
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)


def _forked(
    config: uvicorn.Config, target: Callable[..., None], sockets: list[socket]
) -> multiprocessing.process.BaseProcess:
    return _Worker(target=_run, args=(config, target, sockets))


def _run(config: uvicorn.Config, target: Callable[..., None], sockets: list[socket]) -> None:
    for caught in _CAUGHT:
        signal.signal(caught, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)
    config.loop = f"{__name__}:{make_loop.__name__}"
    subprocess_started(config, target, sockets, None)
