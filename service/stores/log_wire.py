"""What workers and the log process say to each other: MessagePack behind four bytes of length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from service.stores.events import Counts, StoredEvent

SOCKET_VARIABLE = "ENDCAP_LOG_SOCKET"
"""Tells a worker where the log process listens; no setting."""
PID_FILE = "log.pid"
"""Beside the socket: which process listens now, for people."""
_LENGTH_BYTES = 4


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The first message of a connection."""

    token: str
    """Names a worker for good, whichever connection it comes by."""
    pid: int
    opened_ms: int


class Group(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What one worker wants in one transaction."""

    number: int
    """Rises by one a group; one that comes again is answered as it was before."""
    events: Sequence[StoredEvent]
    exposures: Sequence[msgspec.Raw]
    """Pieces as `PackedExposures` writes them."""
    counts: Counts


class Leave(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The worker has drained."""

    closed_ms: int


class Done(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The group is on disk."""

    number: int
    is_new: bytes
    """A byte an event: 1 if it was new."""
    first_seq: int
    n_exposures: int


class Waits(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The group is kept and tried again; another answer follows."""

    why: str


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Nothing of the group was written."""

    number: int
    kind: Literal["capacity", "store", "value"]
    why: str


class Left(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """It is noted that the worker has drained."""


Request = Hello | Group | Leave
Answer = Done | Waits | Refused | Left

_encoder = msgspec.msgpack.Encoder()
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def frame(message: Request | Answer) -> bytearray:
    """Write a message with its length before it."""
    framed = bytearray(_LENGTH_BYTES)
    _encoder.encode_into(message, framed, _LENGTH_BYTES)
    framed[:_LENGTH_BYTES] = (len(framed) - _LENGTH_BYTES).to_bytes(_LENGTH_BYTES)
    return framed


class Unframer:
    """Puts messages together from the pieces in which they come."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._received += piece

    def take(self) -> bytes | None:
        """Return the next whole message, if there is one."""
        received = self._received
        end = _LENGTH_BYTES + int.from_bytes(received[:_LENGTH_BYTES])
        if len(received) < max(end, _LENGTH_BYTES):
            return None
        message = bytes(memoryview(received)[_LENGTH_BYTES:end])
        del received[:end]
        return message
