"""What a worker asks of the scorer, and the bytes of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from socket import MSG_DONTWAIT, socket

import msgspec
import numpy as np

from models.scoring import History

MAX_BYTES = 1 << 16
"""Of one question; a history of 200 items takes 2.7 KB."""


class Asked(msgspec.Struct, array_like=True, gc=False):
    """A history that is to be worked out."""

    pid: int
    """Of the worker, whose core is to be left alone."""
    version: str
    name: str
    """The version with all that candidates follow from: `models.ready_candidates.ready_name`."""
    rows: bytes
    kinds: bytes
    at_ms: bytes

    @property
    def history(self) -> History:
        """The history, without a copy."""
        return History(
            np.frombuffer(self.rows, np.int32),
            np.frombuffer(self.kinds, np.int8),
            np.frombuffer(self.at_ms, np.int64),
        )


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Asked).decode


class ScorerLine:
    """The worker's end of the line to the scorer: nobody waits for it."""

    def __init__(
        self,
        line: socket,
        count_asked: Callable[[], None] = lambda: None,
        count_skipped: Callable[[], None] = lambda: None,
    ) -> None:
        """Take a socket of messages, and who counts those that were sent and those skipped."""
        self._line = line
        self._pid = os.getpid()
        self._count_asked = count_asked
        self._count_skipped = count_skipped

    def ask(self, version: str, name: str, history: History) -> None:
        """Ask for what a history brings up; skip it if the scorer has enough to do, or is away."""
        rows, kinds, at_ms = (
            history.rows.tobytes(),
            history.kinds.tobytes(),
            history.at_ms.tobytes(),
        )
        try:
            self._line.send(
                _encode(Asked(self._pid, version, name, rows, kinds, at_ms)), MSG_DONTWAIT
            )
        except OSError:
            self._count_skipped()
        else:
            self._count_asked()
