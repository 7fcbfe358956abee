"""Which new events may be added up: those that name an exposure wait until it is there.

A worker's exposures gather for a moment before they come to the disk, and what was done with them
may be accepted by another worker meanwhile.
"""

from __future__ import annotations

import time

from service.stores.event_log import Database

SETTLE_MS = 2_000
"""How long an event waits for the exposure that it names; several times what a writer lets them
gather (`service.intake.writer.LINGER_S`). After it, none is expected any more."""

ALL = (1 << 62) - 1
"""More than the number of any exposure: for who counts on all that are stored by now."""

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


def last_settled(
    connection: Database, after: int, upto: int, now_ms: int | None, *, shown: int = ALL
) -> int:
    """Return the last event, in `after` < seq <= `upto`, before the first that still waits.

    An exposure after `shown` is not added up yet, so whoever names it waits for it, however long:
    in PostgreSQL each statement sees what others have committed meanwhile. `connection` has the
    event store attached as ``log``. Without `now_ms` it is now.
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    bounds = {"after": after, "upto": upto, "now_ms": now_ms, "shown": shown}
    (waiting,) = connection.execute(_FIRST_WAITING, bounds).fetchone()
    return upto if waiting is None else int(waiting) - 1
