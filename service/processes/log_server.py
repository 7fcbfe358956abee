"""The log process: it writes what all workers of a server have for ``events.sqlite``.

One thread takes what the workers' connections bring, commits it in one transaction and answers;
what comes meanwhile waits in the sockets and makes the next one. `service.processes.log_process`
starts it: ``python -m service.processes.log_server EVENTS LISTENER``, with the listening socket's
number. It goes when standard input ends, which every process that could still bring something holds
open, and hears no signal that asks it to. It writes on cores where no page is answered, if there
are any.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from models.errors import CapacityError, StoreError
from service.cpu.spare_cores import SpareCores
from service.reports.rollup_keeper import RollupKeeper
from service.stores.attribution import DEFAULT_DAYS
from service.stores.checkpointer import Checkpointer
from service.stores.events import StoreBusyError
from service.stores.log_wire import (
    Answer,
    Done,
    Group,
    Hello,
    Leave,
    Left,
    Refused,
    Unframer,
    Waits,
    decode_request,
    frame,
)
from service.stores.merged_events import MergedEvents
from service.telemetry.logs import configure_logs

LINGER_S = 0.002
"""How long the first group waits for those of other workers."""
PAUSE_S = 0.25
"""Between attempts on a store that cannot be opened."""
LEAVE_S = 5.0
"""How long connections that are still open are heard after standard input has ended."""
_PIECE = 1 << 18

_log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Worker:
    """One connection, and what it brought."""

    socket: socket.socket
    hello: Hello | None = None
    group: Group | None = None
    unframer: Unframer = field(default_factory=Unframer)


class LogServer:
    """The loop over the workers' connections."""

    def __init__(
        self,
        listener: socket.socket,
        open_events: Callable[[], MergedEvents],
        stop_descriptor: int,
        *,
        keep_off: Callable[[Collection[int]], None] = lambda _pids: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keep_off` is told whose cores to leave, of processes, whenever something comes."""
        self._listener = listener
        self._keep_off = keep_off
        self._open_events = open_events
        self._monotonic_s = monotonic_s
        self._events: MergedEvents | None = None
        self._workers: set[_Worker] = set()
        self._leaves_at_s = float("inf")
        self._selector = selectors.DefaultSelector()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._stop_descriptor = stop_descriptor
        self._selector.register(stop_descriptor, selectors.EVENT_READ, self._stop)

    def run(self) -> None:
        """Write until standard input has ended and no worker is left."""
        while not self._is_over():
            self._listen(None if self._leaves_at_s == float("inf") else 0.1)
            waiting = self._waiting()
            if waiting and len(waiting) < len(self._workers):
                self._listen(LINGER_S)
                waiting = self._waiting()
            while waiting:
                self._write(waiting)
                if self._waiting():  # refused for now: the store is locked
                    self._listen(0)
                waiting = self._waiting()
                if self._is_over():
                    break
        for worker in list(self._workers):
            self._drop(worker)
        if self._events is not None:
            self._events.close()

    def _is_over(self) -> bool:
        if self._leaves_at_s == float("inf"):
            return False
        return not self._workers or self._monotonic_s() >= self._leaves_at_s

    def _waiting(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.group is not None]

    def _listen(self, timeout_s: float | None) -> None:
        """Take in what is there; when something was, whatever else is there by now too."""
        ready = self._selector.select(timeout_s)
        if not ready:
            return
        self._leave_cores()
        while ready:
            for key, _ in ready:
                key.data()
            ready = self._selector.select(0)
        self._leave_cores()  # to whoever has just said its name too

    def _leave_cores(self) -> None:
        self._keep_off([worker.hello.pid for worker in self._workers if worker.hello])

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            accepted, _ = self._listener.accept()
            accepted.setblocking(False)
            worker = _Worker(accepted)
            self._workers.add(worker)
            self._selector.register(accepted, selectors.EVENT_READ, lambda: self._hear(worker))

    def _stop(self) -> None:
        if not os.read(self._stop_descriptor, 1):
            self._selector.unregister(self._stop_descriptor)
            self._leaves_at_s = self._monotonic_s() + LEAVE_S

    def _hear(self, worker: _Worker) -> None:
        try:
            piece = worker.socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._drop(worker)
            return
        worker.unframer.feed(piece)
        try:
            while message := worker.unframer.take():
                self._take(worker, message)
        except (msgspec.MsgspecError, ValueError) as error:
            _log.error("log_message_not_understood", error=str(error))
            self._drop(worker)

    def _take(self, worker: _Worker, message: bytes) -> None:
        request = decode_request(message)
        match request:
            case Hello():
                worker.hello = request
            case Group():
                if worker.hello is None:
                    raise ValueError("a group came before its worker's name")
                if worker.group is not None:
                    self._write([worker])  # it gave that one up, and yet was told nothing of it
                worker.group = request
            case Leave(closed_ms=closed_ms):
                self._leave(worker, closed_ms)

    def _leave(self, worker: _Worker, closed_ms: int) -> None:
        if worker.hello is not None:
            try:
                self._open().leave(worker.hello, closed_ms)
            except (CapacityError, StoreError) as error:
                _log.error("writer_not_closed", error=str(error))
        self._answer(worker, Left())

    def _write(self, workers: Sequence[_Worker]) -> None:
        """Commit the groups of workers together, or one by one if a value of one is wrong."""
        groups = [
            (worker.hello, worker.group)
            for worker in workers
            if worker.hello is not None and worker.group is not None
        ]
        try:
            done = self._open().commit(groups)
        except StoreBusyError as error:
            for worker in workers:
                self._answer(worker, Waits(str(error)))
        except CapacityError as error:
            self._refuse(workers, "capacity", str(error))
        except StoreError as error:
            self._refuse(workers, "store", str(error))
        except Exception as error:  # one odd value must not take the others with it
            if len(workers) > 1:
                for worker in workers:
                    self._write([worker])
                return
            self._refuse(workers, "value", str(error))
        else:
            for worker, answer in zip(workers, done, strict=True):
                self._finish(worker, answer)
            self._finish_checkpoint()

    def _finish_checkpoint(self) -> None:
        try:
            self._open().finish_checkpoint()
        except Exception as error:  # the log grows on, and is moved later
            _log.warning("log_not_moved", error=str(error))

    def _open(self) -> MergedEvents:
        if self._events is None:
            self._events = self._open_events()
        return self._events

    def _refuse(self, workers: Sequence[_Worker], kind: str, why: str) -> None:
        for worker in workers:
            assert worker.group is not None
            self._finish(worker, Refused(worker.group.number, kind, why))  # type: ignore[arg-type]

    def _finish(self, worker: _Worker, answer: Done | Refused) -> None:
        worker.group = None
        self._answer(worker, answer)

    def _answer(self, worker: _Worker, answer: Answer) -> None:
        """Send an answer, which is short; who takes none is as good as gone."""
        if worker not in self._workers:
            return
        framed = frame(answer)
        try:
            is_sent = worker.socket.send(framed) == len(framed)
        except OSError:
            is_sent = False
        if not is_sent:
            self._drop(worker)

    def _drop(self, worker: _Worker) -> None:
        """Let a connection go; a group that came by it whole is written all the same."""
        if worker not in self._workers:
            return
        self._workers.discard(worker)
        self._selector.unregister(worker.socket)
        worker.socket.close()
        if worker.group is not None:
            self._write([worker])
        if worker.hello is not None and self._events is not None:
            self._events.forget(worker.hello)


def main(arguments: list[str]) -> int:
    """Serve the workers of one server."""
    path, listener = arguments
    configure_logs(os.environ.get("ENDCAP_LOG_LEVEL", "info"))
    events = Path(path)
    days = int(os.environ.get("ENDCAP_ATTRIBUTION_DAYS", DEFAULT_DAYS))
    keeper, checkpointer = RollupKeeper(events, attribution_days=days), Checkpointer(events)
    with socket.socket(fileno=int(listener)) as listening:
        keeper.start()
        checkpointer.start()
        LogServer(
            listening,
            lambda: MergedEvents(events, checkpointer),
            sys.stdin.fileno(),
            keep_off=SpareCores().keep_off,
        ).run()
    checkpointer.close()
    keeper.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
