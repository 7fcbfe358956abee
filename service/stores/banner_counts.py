"""How often each banner was shown, seen and clicked, by day.

Derived from the event store and, where they are made anew, from its archive; a fold at a time, and
kept when the log itself expires. It names nobody. Writers of events never wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from service.stores import log_replay
from service.stores.derived import make_tables, transaction, version_of
from service.stores.event_database import connect_derived, reported_derived
from service.stores.event_log import BANNERS, Database, EventLog
from service.stores.event_schema import RENDERED, VIEWABLE, EventFlag
from service.stores.replay_process import make_replay
from service.stores.settled_events import last_settled, note_newest

VERSION = 3
CHUNK = 50_000
"""Rows of the log that one transaction folds."""
DAY_MS = 86_400_000
WINDOW_MS = 7 * DAY_MS
"""How long after an exposure a click that names it counts."""
KEPT_DAYS = 400
"""How long a day is kept."""
ROBOT = "ROBOT"
"""The reason of an exposure to a crawler."""

_CLICK = 1
_UNCOUNTED = int(EventFlag.BOT | EventFlag.PREVIEW)

_SCHEMA = """
CREATE TABLE progress (name TEXT PRIMARY KEY, seq INTEGER NOT NULL);
INSERT INTO progress VALUES ('exposures', 0), ('events', 0);
CREATE TABLE banner_days (
  day INTEGER, placement_id TEXT, position INTEGER, segment TEXT, fit TEXT, banner_id TEXT,
  n_assigned INTEGER NOT NULL DEFAULT 0, n_rendered INTEGER NOT NULL DEFAULT 0,
  n_viewable INTEGER NOT NULL DEFAULT 0, n_clicked INTEGER NOT NULL DEFAULT 0,
  n_explored INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (day, placement_id, position, segment, fit, banner_id)) WITHOUT ROWID;
CREATE INDEX banner_days_banner ON banner_days (banner_id);
CREATE TABLE reached (
  exposure_seq INTEGER, stage INTEGER, banner_id TEXT, day INTEGER NOT NULL,
  PRIMARY KEY (exposure_seq, stage, banner_id)) WITHOUT ROWID;
CREATE INDEX reached_day ON reached (day);
CREATE TABLE rates (
  period INTEGER, placement_id TEXT, segment TEXT, banner_id TEXT, fit TEXT,
  rate REAL NOT NULL, strength REAL NOT NULL,
  PRIMARY KEY (period, placement_id, segment, banner_id, fit)) WITHOUT ROWID;
CREATE TABLE lifts (
  period INTEGER, fit TEXT, lift REAL NOT NULL, clicks REAL NOT NULL,
  PRIMARY KEY (period, fit)) WITHOUT ROWID;
CREATE TABLE periods (period INTEGER PRIMARY KEY, made_ms INTEGER NOT NULL)
"""

_CELL = "day, placement_id, position, segment, fit, banner_id"
_SHOWN_CELL = f"""
shown.at_ms / {DAY_MS}, shown.placement_id, CAST(one.value ->> 'position' AS INTEGER),
coalesce(shown.segment, ''),
coalesce(one.value ->> 'fit', ''), one.value ->> 'id'
"""
_COUNTED = f"shown.kind = 'banners' AND shown.reason IS DISTINCT FROM '{ROBOT}'"

_FOLD_EXPOSURES = (
    f"""
INSERT INTO banner_days ({_CELL}, n_assigned, n_explored)
SELECT {_SHOWN_CELL}, count(*), sum(one.value ->> 'source' = 'explore')
FROM log.exposures AS shown, json_each(shown.shown) AS one
WHERE shown.seq > :after AND shown.seq <= :upto AND {_COUNTED}
GROUP BY 1, 2, 3, 4, 5, 6
ON CONFLICT ({_CELL}) DO UPDATE SET n_assigned = banner_days.n_assigned + excluded.n_assigned,
  n_explored = banner_days.n_explored + excluded.n_explored
""",
)

# A grade is of the whole slate, a click of one banner. A second report of either counts nothing.
_FOLD_EVENTS = (
    f"""
CREATE TEMP TABLE news AS
SELECT DISTINCT shown.seq AS exposure_seq, event.kind AS stage,
       iif(event.kind = {_CLICK}, event.banner_id, '') AS banner_id, shown.at_ms / {DAY_MS} AS day
FROM log.events AS event JOIN log.exposures AS shown ON shown.exposure_id = event.exposure_id
WHERE event.seq > :after AND event.seq <= :upto
  AND +event.kind IN ({_CLICK}, {RENDERED}, {VIEWABLE}) AND event.flags & {_UNCOUNTED} = 0
  AND {_COUNTED} AND event.received_ms <= shown.at_ms + {WINDOW_MS}
  AND (event.kind <> {_CLICK} OR event.banner_id IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM reached WHERE reached.exposure_seq = shown.seq
                  AND reached.stage = event.kind
                  AND reached.banner_id = iif(event.kind = {_CLICK}, event.banner_id, ''))
""",
    "INSERT INTO reached SELECT * FROM news",
    f"""
INSERT INTO banner_days ({_CELL}, n_rendered, n_viewable, n_clicked)
SELECT {_SHOWN_CELL}, sum(stage = {RENDERED}), sum(stage = {VIEWABLE}), sum(stage = {_CLICK})
FROM news JOIN log.exposures AS shown ON shown.seq = exposure_seq, json_each(shown.shown) AS one
WHERE news.banner_id IN ('', one.value ->> 'id')
GROUP BY 1, 2, 3, 4, 5, 6
ON CONFLICT ({_CELL}) DO UPDATE SET n_rendered = banner_days.n_rendered + excluded.n_rendered,
  n_viewable = banner_days.n_viewable + excluded.n_viewable,
  n_clicked = banner_days.n_clicked + excluded.n_clicked
""",
    "DROP TABLE news",
)


class BannerCount(NamedTuple):
    """How often a banner was shown at one place; a count may be faded, and so be no whole."""

    placement_id: str
    position: int
    segment: str
    """Empty where the shopper is in none."""
    fit: str
    """Empty where nothing was matched."""
    banner_id: str
    n_assigned: float
    n_rendered: float
    n_viewable: float
    n_clicked: float
    n_explored: float


_READ = """
SELECT placement_id, position, segment, fit, banner_id, total(n_assigned * weight),
       total(n_rendered * weight), total(n_viewable * weight), total(n_clicked * weight),
       total(n_explored * weight)
FROM banner_days JOIN weights USING (day)
GROUP BY 1, 2, 3, 4, 5
"""


@contextmanager
def open_banner_counts(events: EventLog, *, waits: bool = False) -> Iterator[Database]:
    """Open the counts beside the event store `events`, which is attached as ``log``.

    Counts that are made anew want the archive first (`log_replay`); who `waits` has it read now,
    which may take minutes.

    Raises
    ------
    StoreError
        If a file cannot be read or written, or a newer release has made the counts.
    """
    with reported_derived(events, BANNERS):
        connection = connect_derived(events, BANNERS, busy_timeout_ms=60_000)
        try:
            mark = partial(log_replay.mark, connection, events)
            make_tables(connection, BANNERS, VERSION, _SCHEMA, on_made=mark)
            log_replay.attach(connection, events)
            if waits and log_replay.is_waiting(connection):
                make_replay(events)
                log_replay.attach(connection, events)
            yield connection
        finally:
            connection.close()


def fold_banners(connection: Database, now_ms: int, *, max_chunks: int | None = None) -> None:
    """Count what was stored since the last fold, of exposures and of events at most so much.

    While archived days wait to be read (`log_replay`) nothing is counted, and nothing where another
    release has made the tables meanwhile.
    """
    log_replay.follow(connection)
    if log_replay.is_waiting(connection):
        return
    is_all = _fold_both(connection, now_ms, max_chunks)
    if is_all and log_replay.finish(connection):
        _fold_both(connection, now_ms, max_chunks)
    today = now_ms // DAY_MS
    with transaction(connection):
        if not _are_ours(connection):
            return
        connection.execute("DELETE FROM banner_days WHERE day < ?", (today - KEPT_DAYS,))
        if not log_replay.is_replaying(connection):  # else old days are still being counted
            last_day = today - WINDOW_MS // DAY_MS - 1
            connection.execute("DELETE FROM reached WHERE day < ?", (last_day,))


def read_banner_counts(
    connection: Database, now_ms: int, half_life_days: float | None = None
) -> list[BannerCount]:
    """Sum the days up; with a half-life, a day so long ago counts half."""
    today = now_ms // DAY_MS
    days = [day for (day,) in connection.execute("SELECT DISTINCT day FROM banner_days")]
    connection.execute("DROP TABLE IF EXISTS weights")
    connection.execute("CREATE TEMP TABLE weights (day INTEGER PRIMARY KEY, weight REAL)")
    connection.executemany(
        "INSERT INTO weights VALUES (?, ?)",
        [
            (day, 1.0 if half_life_days is None else 0.5 ** (max(today - day, 0) / half_life_days))
            for day in days
        ],
    )
    return [BannerCount(*row) for row in connection.execute(_READ)]


def read_banner_days(connection: Database, banner_id: str) -> list[tuple[int, int, int]]:
    """Return (days since 1970, slates with it, clicks) of a banner, by day."""
    return connection.execute(
        "SELECT day, sum(n_assigned), sum(n_clicked) FROM banner_days WHERE banner_id = ? "
        "GROUP BY day ORDER BY day",
        (banner_id,),
    ).fetchall()


def _fold_both(connection: Database, now_ms: int, max_chunks: int | None) -> bool:
    """Add what is new, and tell whether that was all."""
    done = [
        _fold(connection, "exposures", _FOLD_EXPOSURES, max_chunks, now_ms),
        _fold(connection, "events", _FOLD_EVENTS, max_chunks, now_ms),
    ]
    return all(done)


def _fold(
    connection: Database,
    table: str,
    statements: tuple[str, ...],
    max_chunks: int | None,
    now_ms: int,
) -> bool:
    """Add the rows of a table that are new, a chunk a transaction; events as far as settled.

    Tells whether those were all.
    """
    n_chunks = 0
    while True:
        n_chunks += 1
        with transaction(connection):
            if not _are_ours(connection):
                return False
            (after,) = connection.execute(
                "SELECT seq FROM progress WHERE name = ?", (table,)
            ).fetchone()
            last = connection.execute(f"SELECT max(seq) FROM log.{table}").fetchone()[0] or 0
            upto = bound = min(after + CHUNK, last)
            if table == "events":
                noted = note_newest(connection, now_ms)
                upto = last_settled(connection, after, bound, now_ms, noted=noted)
            if upto > after:
                for statement in statements:
                    connection.execute(statement, {"after": after, "upto": upto})
                connection.execute("UPDATE progress SET seq = ? WHERE name = ?", (upto, table))
        if upto >= last or upto < bound or n_chunks == max_chunks:
            return bool(upto >= last)


def _are_ours(connection: Database) -> bool:
    """Tell whether the tables are still those of this release; asked where nobody else writes."""
    return version_of(connection, BANNERS) == VERSION
