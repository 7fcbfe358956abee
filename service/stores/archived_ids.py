"""Which event ids are in archived days, for who may be given an old file again.

An id is kept as 16 bytes of its hash, so that ten million take 160 MB; that two are equal by chance
is less likely than a disk that lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.stores.archive import read_batches
from service.stores.archive_files import day_files, stamp_of
from service.stores.event_log import EventLog

_BYTES = 16
_Hashes = NDArray[np.bytes_]


class ArchivedIds:
    """The ids of all files, read again when a file has changed; look under the archive's lock."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._seen: dict[Path, tuple[int, int]] = {}
        self._sorted = _hashes([])

    def known_of(self, event_ids: Sequence[str]) -> set[str]:
        """Return those of these ids that are archived.

        Raises
        ------
        StoreError
            If a file cannot be read.
        """
        self._refresh()
        if not len(self._sorted) or not event_ids:
            return set()
        wanted = _hashes(event_ids)
        places = np.searchsorted(self._sorted, wanted)
        places[places == len(self._sorted)] = 0
        rows = np.flatnonzero(self._sorted[places] == wanted).tolist()
        return {event_ids[row] for row in rows}

    def _refresh(self) -> None:
        files = {file: stamp_of(file) for file in day_files(self._events, "events")}
        if files != self._seen:
            parts = [_hashes(_ids_of(file)) for file in files]
            self._sorted = np.sort(np.concatenate([_hashes([]), *parts]))
            self._seen = files


def _ids_of(file: Path) -> Iterable[str]:
    for batch in read_batches(file, "events", {"event_id"}):
        yield from batch.column("event_id").to_pylist()


def _hashes(event_ids: Iterable[str]) -> _Hashes:
    digests = [blake2b(one.encode(), digest_size=_BYTES).digest() for one in event_ids]
    return np.array(digests, dtype=f"S{_BYTES}")
