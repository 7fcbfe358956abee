"""Which banners were shown to a unit, and when, out of the exposures."""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple

import msgspec

from service.stores.event_database import connect, reported
from service.stores.event_log import EventLog

MAX_ROWS = 500
"""The newest exposures of banners of a unit that are read."""


class BannerView(NamedTuple):
    """One banner shown once."""

    exposure_id: str
    at_ms: int
    banner_id: str


class _Shown(msgspec.Struct):
    id: str


_NEWEST = """
SELECT exposure_id, at_ms, shown FROM exposures
WHERE unit_key = ? AND unit_key IS NOT NULL AND at_ms >= ? AND kind = 'banners'
ORDER BY at_ms DESC LIMIT ?
"""
_SINCE = """
SELECT seq, unit_key, exposure_id, at_ms, shown FROM exposures
WHERE seq > ? AND kind = 'banners' AND unit_key IS NOT NULL ORDER BY seq LIMIT 5000
"""
_decode = msgspec.json.Decoder(list[_Shown]).decode


class BannerViewReader:
    """One connection; threads wait for each other."""

    def __init__(self, path: EventLog) -> None:
        self._path = path
        self._lock = Lock()
        self._connection = connect(path, read_only=True)

    def newest(self, unit_key: str, since_ms: int) -> list[BannerView]:
        """Read what a unit was shown since a moment."""
        with self._lock, reported(self._path):
            rows = self._connection.execute(_NEWEST, (unit_key, since_ms, MAX_ROWS)).fetchall()
        return [view for row in rows for view in _views(*row)]

    def since(
        self, seq: int, unit_keys: set[str]
    ) -> tuple[list[tuple[str, list[BannerView]]], int]:
        """Read the newest views of some units, and the number of the last exposure of banners."""
        with self._lock, reported(self._path):
            rows = self._connection.execute(_SINCE, (seq,)).fetchall()
        found = [(unit, list(_views(*row))) for _, unit, *row in rows if unit in unit_keys]
        return found, rows[-1][0] if rows else seq

    def last_seq(self) -> int:
        """Number the newest exposure."""
        with self._lock, reported(self._path):
            found = self._connection.execute("SELECT coalesce(max(seq), 0) FROM exposures")
            return int(found.fetchone()[0])

    def data_version(self) -> int:
        """Return a number that changes when another connection commits."""
        # Not under the lock: the event loop asks, and must not wait for a read.
        with reported(self._path):
            return self._connection.data_version()

    def close(self) -> None:
        """Close the file, once a read under way has ended."""
        with self._lock:
            self._connection.close()


def _views(exposure_id: str, at_ms: int, shown: str) -> list[BannerView]:
    return [BannerView(exposure_id, at_ms, one.id) for one in _decode(shown)]
