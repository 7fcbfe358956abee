"""Has a worker's groups written by the log process, which writes those of all workers.

Rows of exposures are packed in the worker, and a group is sent once. If the process dies meanwhile,
or does not answer, the same group goes to the next one, which knows whether it is on disk already.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from models.errors import CapacityError, StoreError
from service.stores.events import Batch, Committed, StoreBusyError, number_events
from service.stores.exposure_rows import pack_exposures
from service.stores.log_wire import (
    PID_FILE,
    Answer,
    Done,
    Group,
    Hello,
    Leave,
    Refused,
    Unframer,
    Waits,
    decode_answer,
    frame,
)

ANSWER_S = 0.25
"""How long a call waits before it says that the store is busy."""
LEAVE_S = 1.5
"""How long a worker that has drained waits for that to be noted."""
_RETRY_S = 0.05
"""Before a process that is not there is tried again."""
_PIECE = 65_536
_PIECE_S = 0.02
"""How long a call that sends waits for each piece that the system makes of a group."""
_SHORTEST_WAIT_S = 0.001
_TIME = struct.Struct("ll")
"""Seconds and microseconds, as sockets take them."""


class RemoteEventStore:
    """The adapter of `service.stores.events.EventStore` for a worker of a server."""

    def __init__(
        self,
        address: Path,
        *,
        opened_ms: int,
        answer_s: float = ANSWER_S,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address = address
        self._hello = Hello(token_hex(8), os.getpid(), opened_ms)
        self._answer_s = answer_s
        self._monotonic_s = monotonic_s
        self._sleep = sleep
        self._socket: socket.socket | None = None
        self._unframer = Unframer()
        self._batch: Batch | None = None
        self._number = 0
        self._framed = bytearray()
        self._n_sent = 0
        self._is_lost = False
        """Whether a connection broke, and no process has answered since."""

    def commit(self, batch: Batch) -> Committed:
        """Have a batch written; see the port."""
        if batch is not self._batch:
            self._take_up(batch)
        answer = self._ask(self._answer_s)
        self._batch = None
        match answer:
            case Done(is_new=new, first_seq=first_seq, n_exposures=n_exposures):
                is_new = list(map(bool, new))
                added = number_events(batch.events, is_new, first_seq)
                return Committed(is_new=is_new, added=added, n_exposures=n_exposures)
            case Refused(kind="capacity", why=why):
                raise CapacityError(why)
            case Refused(kind="store", why=why):
                raise StoreError(why)
            case _:
                raise ValueError(getattr(answer, "why", f"no answer to a group: {answer}"))

    def close(self, closed_ms: int) -> None:
        """Say that this worker drained, and leave."""
        try:
            if self._number:
                self._batch = None
                self._framed, self._n_sent = frame(Leave(closed_ms)), 0
                self._ask(LEAVE_S)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave without a word: something was left unwritten."""
        self._disconnect()

    def _take_up(self, batch: Batch) -> None:
        packed = list(batch.packed)
        if batch.exposures:
            packed.append(pack_exposures(batch.exposures))
        group = Group(self._number + 1, batch.events, packed, batch.counts)
        if 0 < self._n_sent < len(self._framed):
            self._disconnect()  # half of a group that nobody wants any more
        self._framed, self._n_sent = frame(group), 0
        self._number += 1
        self._batch = batch

    def _ask(self, wait_s: float) -> Answer:
        """Send what is not sent yet, and wait for its answer.

        Raises
        ------
        StoreBusyError
            If there is none in time.
        """
        end_s = self._monotonic_s() + wait_s
        while True:
            try:
                return self._exchange(end_s)
            except (TimeoutError, BlockingIOError):  # the second is a socket's whose time is up
                raise StoreBusyError(
                    "the log process ended and is started again"
                    if self._is_lost
                    else "the log process does not answer",
                    self._what_to_do(),
                ) from None
            except OSError as error:
                self._disconnect()
                self._is_lost = True
                if self._monotonic_s() + _RETRY_S >= end_s:
                    raise StoreBusyError(
                        f"the log process is gone: {error}; it is started again"
                    ) from error
                self._sleep(_RETRY_S)

    def _exchange(self, end_s: float) -> Answer:
        connection = self._connection()
        with memoryview(self._framed) as framed:
            while self._n_sent < len(framed):
                self._limit(connection, socket.SO_SNDTIMEO, end_s, _PIECE_S)
                with suppress(BlockingIOError):  # who reads is slow, and there may be time left
                    self._n_sent += connection.send(framed[self._n_sent :])
        while True:
            message = self._unframer.take()
            if message is None:
                self._limit(connection, socket.SO_RCVTIMEO, end_s)
                piece = connection.recv(_PIECE)
                if not piece:
                    raise ConnectionResetError("it closed the connection")
                self._unframer.feed(piece)
                continue
            answer: Answer = decode_answer(message)
            self._is_lost = False
            if isinstance(answer, Waits):
                raise StoreBusyError(answer.why)
            if isinstance(answer, Done | Refused) and answer.number != self._number:
                continue  # to a group that nobody waits for any more
            return answer

    def _limit(
        self, connection: socket.socket, option: int, end_s: float, most_s: float = float("inf")
    ) -> None:
        """Let the next call wait until `end_s`, by the system's own clock, at most `most_s`.

        With a timeout of Python's, a group of megabytes would be sent in dozens of calls, each of
        which has to wait for the interpreter while pages are answered. Linux waits so long for each
        32 KB that are sent, not for all of them.
        """
        left_s = end_s - self._monotonic_s()
        if left_s <= 0:
            raise TimeoutError
        whole_s, part_s = divmod(max(min(left_s, most_s), _SHORTEST_WAIT_S), 1)
        limit = _TIME.pack(int(whole_s), int(part_s * 1_000_000))
        connection.setsockopt(socket.SOL_SOCKET, option, limit)

    def _what_to_do(self) -> str:
        try:
            named = f"process {int(self._address.with_name(PID_FILE).read_text())}"
        except (OSError, ValueError):
            named = "the process 'service.processes.log_server'"
        return (
            f"see what {named} waits for; kill -CONT lets it go on if it was stopped, kill -KILL "
            "has another one started, and neither loses or repeats anything"
        )

    def _connection(self) -> socket.socket:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(self._answer_s)
                connection.connect(str(self._address))
                connection.sendall(frame(self._hello))
                connection.settimeout(None)
            except BaseException as error:
                connection.close()
                if isinstance(error, BlockingIOError):  # many wait to be let in; it says so at once
                    self._sleep(_RETRY_S)
                raise
            self._socket, self._unframer, self._n_sent = connection, Unframer(), 0
        return self._socket

    def _disconnect(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None
        self._n_sent = 0
