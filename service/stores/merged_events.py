"""Writes ``events.sqlite`` for several workers: the groups of all that wait in one transaction.

So they share a flush of the disk and never meet at the store's lock. The last answer to each worker
is written with its group: who does not know whether a group got in sends it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from service.stores.checkpointer import Checkpointer
from service.stores.event_tables import EventTables, reported
from service.stores.exposure_rows import ExposureRows, unpack_exposures
from service.stores.log_wire import Done, Group, Hello

_FIND_WRITER = "SELECT writer_id, last_answer FROM writers WHERE token = ?"
_NOTE_ANSWER = "UPDATE writers SET last_batch = ?, last_answer = ? WHERE writer_id = ?"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Done).decode


class _Writer(NamedTuple):
    writer_id: int
    last: Done | None


class MergedEvents:
    """The tables, and which worker was answered what last."""

    def __init__(self, path: Path, checkpointer: Checkpointer | None = None) -> None:
        self._tables = EventTables(path)
        self._checkpointer = checkpointer
        if checkpointer is not None:
            checkpointer.relieve(self._tables.connection)
        self._writers: dict[str, _Writer] = {}

    def commit(self, groups: Sequence[tuple[Hello, Group]]) -> list[Done]:
        """Write the groups of as many workers, all or nothing; errors are those of the port."""
        done: list[Done] = []
        known: dict[str, _Writer] = {}
        unpacked = [unpack_exposures(group.exposures) for _, group in groups]
        with self._tables.transaction():
            for (hello, group), exposures in zip(groups, unpacked, strict=True):
                # One that came back may have the same group waiting twice.
                writer = known.get(hello.token) or self._find(hello)
                if writer.last is None or writer.last.number != group.number:
                    writer = writer._replace(last=self._insert(writer.writer_id, group, exposures))
                assert writer.last is not None
                known[hello.token] = writer
                done.append(writer.last)
        self._writers |= known
        if self._checkpointer is not None:
            self._checkpointer.note(sum(sum(one.is_new) + one.n_exposures for one in done))
        return done

    def finish_checkpoint(self) -> None:
        """Let the log begin anew if it was moved into the file; to be called behind the answers."""
        if self._checkpointer is not None:
            with reported():
                self._checkpointer.finish(self._tables.connection)

    def leave(self, hello: Hello, closed_ms: int) -> None:
        """Note that a worker drained, if it ever wrote."""
        self.forget(hello)
        with reported():
            row = self._tables.connection.execute(_FIND_WRITER, (hello.token,)).fetchone()
        if row is not None:
            self._tables.note_closed(row[0], closed_ms)

    def forget(self, hello: Hello) -> None:
        """Keep nothing in memory of a worker that is gone; should it come back, it is looked up."""
        self._writers.pop(hello.token, None)

    def close(self) -> None:
        """Let go of the store."""
        self._tables.close()

    def _find(self, hello: Hello) -> _Writer:
        found = self._writers.get(hello.token)
        if found is not None:
            return found
        row = self._tables.connection.execute(_FIND_WRITER, (hello.token,)).fetchone()
        if row is not None:
            return _Writer(row[0], None if row[1] is None else _decode(row[1]))
        return _Writer(self._tables.register(hello.pid, hello.opened_ms, hello.token), None)

    def _insert(self, writer_id: int, group: Group, exposures: ExposureRows) -> Done:
        inserted = self._tables.insert(group.events, exposures)
        self._tables.count(writer_id, group.counts, inserted)
        done = Done(group.number, bytes(inserted.is_new), inserted.first_seq, inserted.n_exposures)
        self._tables.connection.execute(_NOTE_ANSWER, (done.number, _encode(done), writer_id))
        return done
