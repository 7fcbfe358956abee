"""Which new events may be added up: those that name an exposure wait until it is there.

A worker's exposures gather for a moment before they come to the disk, and what was done with them
may be accepted by another worker meanwhile.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from service.stores.event_log import Database

SETTLE_MS = 2_000
"""How long an event waits for the exposure that it names; several times what a writer lets them
gather (`service.intake.writer.LINGER_S`). After it, none is expected any more."""

STALL_MS = 60_000
"""An event that was received longer ago waits for nothing. One that came while the store was locked
or away may be stored much later than it was received, and yet before the exposure that it names."""

ALL = (1 << 62) - 1
"""More than the number of any row: for who counts on all exposures that are stored by now."""


class Noted(NamedTuple):
    """Which events have been there for how long, as far as it was noted."""

    before: int
    """Up to this one for `SETTLE_MS` at least."""
    last: int
    """Up to this one since `last_ms` at least."""
    last_ms: int


# Either side of now, so that a clock that stepped back holds up nothing for longer.
_IS_NEW = f"received_ms BETWEEN :now_ms - {SETTLE_MS} AND :now_ms + {SETTLE_MS}"
# Its exposure is looked up for each event only where one that is not added up yet may be found. In
# SQLite there never is one, for a transaction sees one moment.
_FIRST_WAITING = f"""
SELECT min(seq) FROM log.events AS event
WHERE seq > :after AND seq <= :upto AND event.exposure_id IS NOT NULL
  AND ({_IS_NEW} OR (SELECT max(newest.seq) FROM log.exposures AS newest) > :shown)
  AND coalesce(
    (SELECT shown.seq FROM log.exposures AS shown WHERE shown.exposure_id = event.exposure_id),
    CASE WHEN {_IS_NEW} THEN :shown + 1 ELSE 0 END) > :shown
"""

# What was there soon after it had been received was in no stall, and has waited long enough.
_FIRST_LATE = """
SELECT min(seq) FROM log.events AS event
WHERE seq > :after AND seq <= :upto AND event.exposure_id IS NOT NULL
  AND received_ms BETWEEN :now_ms - :stall_ms AND :now_ms + :stall_ms
  AND (seq > :last OR received_ms < :last_ms - :settle_ms)
  AND NOT EXISTS (SELECT 1 FROM log.exposures AS shown WHERE shown.exposure_id = event.exposure_id)
"""
_NOTE = """
INSERT INTO progress VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET seq = excluded.seq
"""


def note_newest(connection: Database, now_ms: int | None) -> Noted:
    """Note which event is the newest, unless that was done a moment ago, and return what is noted.

    It stands in `progress` of the sums that `connection` has a transaction of. Without `now_ms` it
    is now.
    """
    now_ms = _now_ms() if now_ms is None else now_ms
    found = connection.execute("SELECT name, seq FROM progress WHERE name LIKE 'noted%'").fetchall()
    noted: dict[str, int] = dict(found)
    # Either side of now, so that a clock that stepped back holds up nothing.
    if abs(now_ms - noted.get("noted_ms", 0)) < SETTLE_MS:
        return Noted(noted.get("noted_before", 0), noted.get("noted", 0), noted.get("noted_ms", 0))
    before = noted.get("noted", 0)
    newest = int(connection.execute("SELECT coalesce(max(seq), 0) FROM log.events").fetchone()[0])
    if newest == before == noted.get("noted_before"):
        return Noted(before, before, now_ms)
    values = {"noted": newest, "noted_ms": now_ms, "noted_before": before}
    connection.executemany(_NOTE, list(values.items()))
    return Noted(before, newest, now_ms)


def last_settled(
    connection: Database,
    after: int,
    upto: int,
    now_ms: int | None,
    *,
    shown: int = ALL,
    noted: Noted | None = None,
) -> int:
    """Return the last event, in `after` < seq <= `upto`, before the first that still waits.

    An exposure after `shown` is not added up yet, so whoever names it waits for it, however long:
    in PostgreSQL each statement sees what others have committed meanwhile. With `noted` an event
    that was stored long after it was received waits, too, until it has been there for a while.
    `connection` has the event store attached as ``log``. Without `now_ms` it is now.
    """
    now_ms = _now_ms() if now_ms is None else now_ms
    bounds = {"after": after, "upto": upto, "now_ms": now_ms, "shown": shown}
    (waiting,) = connection.execute(_FIRST_WAITING, bounds).fetchone()
    settled = upto if waiting is None else int(waiting) - 1
    if noted is None or noted.before >= settled:
        return settled
    late = {"after": max(after, noted.before), "upto": settled, "last": noted.last}
    late |= {"last_ms": noted.last_ms, "now_ms": now_ms}
    late |= {"stall_ms": STALL_MS, "settle_ms": SETTLE_MS}
    (waiting,) = connection.execute(_FIRST_LATE, late).fetchone()
    return settled if waiting is None else int(waiting) - 1


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
