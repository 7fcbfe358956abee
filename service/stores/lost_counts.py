"""What a server that stopped could not bring into the ledger: counts in a file beside the store.

A store that takes nothing more takes no counts either. Without the file it would look as if what
was lost had never been shown. Of a database that machines share, the next start on this machine
brings them into the ledger (`postgres_lost`); beside a file they stay, and are added up with it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import IO

import msgspec

from service.stores.event_log import EventLog
from service.stores.events import Counts

LOST_FILE = "lost.jsonl"


class Lost(msgspec.Struct, frozen=True):
    """One stop; a line of the file."""

    at_ms: int
    counts: Counts
    id: str = ""
    """Tells a line that was brought into the ledger before."""
    if_committed: str | int | None = None
    """The token of a transaction in PostgreSQL: only if it got in the counts count. They are below
    zero, for what it stored was given up as lost, too. An older file has the number of one."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Lost).decode


def note_lost(
    log: EventLog, counts: Counts, at_ms: int, *, if_committed: str | None = None
) -> None:
    """Add counts that the ledger of a log does not have.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with log.with_name(LOST_FILE).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # On a line of its own, wherever a process that was killed has left off.
        file.write(b"\n" + _encode(Lost(at_ms, counts, token_hex(8), if_committed)) + b"\n")


def read_lost(log: EventLog) -> Counts:
    """Add up what was noted for sure; a line that was cut off counts for nothing."""
    path, found = log.with_name(LOST_FILE), dict[str, int]()
    for line in _lines(path.read_bytes()) if path.exists() else ():
        for name, n in line.counts.items() if line.if_committed is None else ():
            found[name] = found.get(name, 0) + n
    return msgspec.convert(found, Counts)


@contextmanager
def take_lost(log: EventLog) -> Iterator[list[Lost]]:
    """Hand all lines out, and forget them unless that fails; others wait meanwhile.

    Raises
    ------
    OSError
        If the file cannot be read or written.
    """
    path = log.with_name(LOST_FILE)
    if not path.exists():
        yield []
        return
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield list(_lines(_all_of(file)))
        file.truncate(0)


def _all_of(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _lines(text: bytes) -> Iterator[Lost]:
    for line in text.splitlines():
        with suppress(msgspec.DecodeError):
            yield _decode(line)
