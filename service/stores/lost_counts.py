"""What a server that stopped could not bring into the ledger: counts in a file beside the store.

A store that takes nothing more takes no counts either. Without the file it would look as if what
was lost had never been shown.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from service.stores.event_log import EventLog
from service.stores.events import Counts

LOST_FILE = "lost.jsonl"

_encode = msgspec.json.Encoder().encode


class _Lost(msgspec.Struct, frozen=True):
    """One stop; a line of the file."""

    at_ms: int
    counts: Counts


_decode = msgspec.json.Decoder(_Lost).decode


def note_lost(log: EventLog, counts: Counts, at_ms: int) -> None:
    """Add counts that the ledger of a log does not have.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with log.with_name(LOST_FILE).open("ab") as file:
        # On a line of its own, wherever a process that was killed has left off.
        file.write(b"\n" + _encode(_Lost(at_ms, counts)) + b"\n")


def read_lost(log: EventLog) -> Counts:
    """Add up what was noted; a line that was cut off counts for nothing."""
    path, found = log.with_name(LOST_FILE), dict[str, int]()
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with suppress(msgspec.DecodeError):
            for name, n in _decode(line).counts.items():
                found[name] = found.get(name, 0) + n
    return msgspec.convert(found, Counts)
