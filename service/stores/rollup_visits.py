"""Running sums of visits: who came back, how often, for how long, and in which week after.

A unit is active when an exposure or event carries its id, or that of a user who is dealt as it. A
visit is activity without a pause of more than 30 minutes. What a unit does belongs to its newest
exposure's epoch, for 28 days after its first exposure there. Visits are kept for some weeks, as
long as something late may still change what they come to; the sums stay.
"""

from __future__ import annotations

from service.stores.event_log import Database
from service.stores.event_schema import RENDERED, VIEWABLE, EventFlag

DAY_MS = 86_400_000
GAP_MS = 30 * 60_000
"""A longer pause ends a visit."""
WINDOWS_DAYS = ((1, 7), (7, 14), (14, 28))
"""Days after its first exposure in which a unit is looked for; the second one is not in it."""
FOLLOWED_MS = 28 * DAY_MS
KEPT_MS = FOLLOWED_MS + 7 * DAY_MS
"""How far behind the newest row a visit is kept: what comes later than a week is left out."""
_PRUNED_EVERY_MS = 7 * DAY_MS
_VARIANT_BITS = 20

NEWEST, KEPT_FROM = "visits_newest_ms", "visits_from_ms"
"""Of `progress`: the time of the newest row, and since when visits are kept."""

SCHEMA = f"""
CREATE TABLE visits (
  unit INTEGER, begin_ms INTEGER, end_ms INTEGER NOT NULL,
  PRIMARY KEY (unit, begin_ms)) WITHOUT ROWID;
CREATE TABLE stays (
  rollout INTEGER, unit INTEGER, epoch INTEGER, variant INTEGER NOT NULL, day INTEGER NOT NULL,
  n_visits INTEGER NOT NULL, dwell_s INTEGER NOT NULL, in_first INTEGER NOT NULL,
  in_second INTEGER NOT NULL, in_third INTEGER NOT NULL,
  PRIMARY KEY (rollout, unit, epoch)) WITHOUT ROWID;
CREATE TABLE cohorts (
  rollout INTEGER, epoch INTEGER, variant INTEGER, day INTEGER, n_units INTEGER NOT NULL,
  n_returned INTEGER NOT NULL, n_visits INTEGER NOT NULL, dwell_s INTEGER NOT NULL,
  sum_vv INTEGER NOT NULL, sum_dd INTEGER NOT NULL, sum_vd INTEGER NOT NULL,
  n_first INTEGER NOT NULL, n_second INTEGER NOT NULL, n_third INTEGER NOT NULL,
  PRIMARY KEY (rollout, epoch, variant, day)) WITHOUT ROWID;
INSERT INTO progress VALUES ('identity_visits', 0), ('exposure_visits', 0), ('event_visits', 0),
  ('{NEWEST}', 0), ('{KEPT_FROM}', 0)"""

_UNCOUNTED = int(EventFlag.BOT | EventFlag.PREVIEW)
_KEPT_FROM = f"(SELECT seq FROM progress WHERE name = '{KEPT_FROM}')"
_NEW = "seq > :after AND seq <= :upto"


# An event from the future counts as from its arrival. A refund is the shop's doing.
_EXPOSURES = f"""
SELECT unit_key, user_key, anonymous_key, at_ms FROM log.exposures
WHERE {_NEW} AND coalesce(reason, '') <> 'ROBOT'
"""
_EVENTS = f"""
SELECT NULL AS unit_key, user_key, anonymous_key,
       CASE WHEN received_ms < at_ms THEN received_ms ELSE at_ms END AS at_ms
FROM log.events
WHERE {_NEW} AND kind IN (0, 1, 2, 3, {RENDERED}, {VIEWABLE}) AND flags & {_UNCOUNTED} = 0
"""


def _find(rows: str) -> tuple[str, ...]:
    """Make ``fresh``, the signs of life of each half hour as a visit of its own."""
    return (
        f"CREATE TEMP TABLE raw AS {rows}",
        f"""
UPDATE progress SET seq = (SELECT max(at_ms) FROM raw)
WHERE name = '{NEWEST}' AND seq < (SELECT max(at_ms) FROM raw)
""",
        f"""
CREATE TEMP TABLE moments AS
SELECT key, keys.id AS unit, begin_ms, end_ms FROM (
  SELECT key, min(at_ms) AS begin_ms, max(at_ms) AS end_ms FROM (
    SELECT unit_key AS key, at_ms FROM raw WHERE unit_key IS NOT NULL
    UNION ALL SELECT user_key, at_ms FROM raw WHERE user_key <> coalesce(unit_key, '')
    UNION ALL SELECT anonymous_key, at_ms FROM raw
    WHERE anonymous_key <> coalesce(unit_key, '') AND anonymous_key <> coalesce(user_key, '')
  ) AS own WHERE at_ms >= {_KEPT_FROM} GROUP BY key, at_ms / {GAP_MS}
) AS one LEFT JOIN keys USING (key)
""",
        "INSERT INTO keys (key) SELECT DISTINCT key FROM moments WHERE unit IS NULL",
        """
UPDATE moments SET unit = (SELECT id FROM keys WHERE keys.key = moments.key) WHERE unit IS NULL
""",
        """
CREATE TEMP TABLE fresh AS
SELECT unit, begin_ms, end_ms FROM moments
UNION ALL SELECT known.unit, begin_ms, end_ms
FROM moments JOIN identities AS known ON known.user = moments.unit
""",
        "DROP TABLE moments",
        "DROP TABLE raw",
    )


# A user's visits are those of the unit as which they are dealt, also where that is known late.
_FIND_KNOWN = (
    f"""
CREATE TEMP TABLE fresh AS
SELECT DISTINCT known.unit, begin_ms, end_ms
FROM (SELECT user_key FROM log.identities WHERE {_NEW}) AS named
JOIN keys ON keys.key = named.user_key
JOIN identities AS known ON known.user = keys.id
JOIN visits ON visits.unit = known.user
""",
)

_POOLED = """
SELECT unit, begin_ms, end_ms FROM fresh UNION ALL SELECT unit, begin_ms, end_ms FROM near
"""

# Where the last to begin does so soon after the first end, all are one visit. Few units need more.
_MERGE = (
    f"""
CREATE TEMP TABLE near AS
SELECT visits.unit, visits.begin_ms, visits.end_ms
FROM fresh CROSS JOIN visits ON visits.unit = fresh.unit
  AND visits.begin_ms <= fresh.end_ms + {GAP_MS} AND visits.end_ms >= fresh.begin_ms - {GAP_MS}
""",
    "DELETE FROM visits WHERE (unit, begin_ms) IN (SELECT unit, begin_ms FROM near)",
    f"""
CREATE TEMP TABLE active AS
SELECT unit, min(begin_ms) AS begin_ms, max(end_ms) AS end_ms,
       max(begin_ms) <= min(end_ms) + {GAP_MS} AS is_one
FROM ({_POOLED}) AS pooled GROUP BY unit
""",
    "INSERT INTO visits SELECT unit, begin_ms, end_ms FROM active WHERE is_one",
    f"""
INSERT INTO visits
SELECT unit, min(begin_ms), max(end_ms) FROM (
  SELECT unit, begin_ms, end_ms,
         sum(begins) OVER (PARTITION BY unit ORDER BY begin_ms, end_ms) AS visit
  FROM (
    SELECT unit, begin_ms, end_ms, CASE WHEN begin_ms <= {GAP_MS} + max(end_ms) OVER (
      PARTITION BY unit ORDER BY begin_ms, end_ms ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) THEN 0 ELSE 1 END AS begins
    FROM ({_POOLED}) AS pooled WHERE unit IN (SELECT unit FROM active WHERE NOT is_one)
  ) AS moved) AS numbered
GROUP BY unit, visit
""",
    "DROP TABLE near",
)


def _looked_for(first_day: int, end_day: int) -> str:
    return (
        f"coalesce(max(CASE WHEN begin_ms < first_ms + {end_day * DAY_MS} "
        f"AND end_ms >= first_ms + {first_day * DAY_MS} THEN 1 END), 0)"
    )


# What is older than the visits that are kept stands as it is.
_TOUCH = f"""
CREATE TEMP TABLE touched AS
SELECT rollout, spans.unit, epoch, max(variant) AS variant, max(first_ms) / {DAY_MS} AS day,
       count(begin_ms) AS n_visits,
       coalesce(CAST(sum(
         CASE WHEN end_ms < until_ms THEN end_ms ELSE until_ms END
         - CASE WHEN begin_ms > first_ms THEN begin_ms ELSE first_ms END) AS BIGINT) / 1000, 0)
         AS dwell_s,
       {_looked_for(*WINDOWS_DAYS[0])} AS in_first, {_looked_for(*WINDOWS_DAYS[1])} AS in_second,
       {_looked_for(*WINDOWS_DAYS[2])} AS in_third
FROM (
  SELECT rollout, unit, epoch, variant, first_ms,
         CASE WHEN next_ms < first_ms + {FOLLOWED_MS} THEN next_ms
              ELSE first_ms + {FOLLOWED_MS} END AS until_ms
  FROM (
    SELECT units.rollout, units.unit, units.epoch, units.first >> {_VARIANT_BITS} AS first_ms,
           units.first & {(1 << _VARIANT_BITS) - 1} AS variant,
           lead(units.first >> {_VARIANT_BITS}) OVER (
             PARTITION BY units.rollout, units.unit
             ORDER BY units.first >> {_VARIANT_BITS}, units.epoch) AS next_ms
    FROM (SELECT DISTINCT rollout FROM people) AS running
    CROSS JOIN active ON true
    CROSS JOIN units ON units.rollout = running.rollout AND units.unit = active.unit) AS lined
  WHERE first_ms >= {_KEPT_FROM}) AS spans
LEFT JOIN visits ON visits.unit = spans.unit AND visits.begin_ms < until_ms
  AND visits.end_ms >= first_ms
GROUP BY rollout, spans.unit, epoch
"""

_SUMS = "n_units, n_returned, n_visits, dwell_s, sum_vv, sum_dd, sum_vd, n_first, n_second, n_third"
_ADD = ", ".join(f"{name} = cohorts.{name} + excluded.{name}" for name in _SUMS.split(", "))


def _move(sign: str) -> str:
    """Add what the stays of ``touched`` come to, or take it out."""
    return f"""
INSERT INTO cohorts (rollout, epoch, variant, day, {_SUMS})
SELECT rollout, epoch, variant, day, {sign} count(*),
  {sign} sum(CASE WHEN n_visits > 1 THEN 1 ELSE 0 END), {sign} sum(n_visits), {sign} sum(dwell_s),
  {sign} sum(n_visits * n_visits), {sign} sum(dwell_s * dwell_s), {sign} sum(n_visits * dwell_s),
  {sign} sum(in_first), {sign} sum(in_second), {sign} sum(in_third)
FROM (SELECT rollout, unit, epoch FROM touched) AS named
CROSS JOIN stays USING (rollout, unit, epoch) GROUP BY rollout, epoch, variant, day
ON CONFLICT (rollout, epoch, variant, day) DO UPDATE SET {_ADD}
"""


TAKE_OUT = _move("-")
"""Of ``touched`` (rollout, unit, epoch)."""

_STAY = (
    _TOUCH,
    TAKE_OUT,
    """
INSERT INTO stays
SELECT rollout, unit, epoch, variant, day, n_visits, dwell_s, in_first, in_second, in_third
FROM touched WHERE true
ON CONFLICT (rollout, unit, epoch) DO UPDATE SET variant = excluded.variant, day = excluded.day,
  n_visits = excluded.n_visits, dwell_s = excluded.dwell_s, in_first = excluded.in_first,
  in_second = excluded.in_second, in_third = excluded.in_third
""",
    _move("+"),
    "DROP TABLE touched",
    "DROP TABLE active",
    "DROP TABLE fresh",
)

FOLDS = (
    ("identity_visits", "identities", (*_FIND_KNOWN, *_MERGE, *_STAY)),
    ("exposure_visits", "exposures", (*_find(_EXPOSURES), *_MERGE, *_STAY)),
    ("event_visits", "events", (*_find(_EVENTS), *_MERGE, *_STAY)),
)
"""By its name in `progress`: the table of the log that is read, and how."""


def prune(connection: Database) -> None:
    """Forget visits that nothing can change any more, and who is nowhere else, once a week."""
    newest, kept_from = (
        connection.execute("SELECT seq FROM progress WHERE name = ?", (name,)).fetchone()[0]
        for name in (NEWEST, KEPT_FROM)
    )
    if newest - KEPT_MS < kept_from + _PRUNED_EVERY_MS:
        return
    connection.execute("UPDATE progress SET seq = ? WHERE name = ?", (newest - KEPT_MS, KEPT_FROM))
    connection.execute("DELETE FROM visits WHERE end_ms < ?", (newest - KEPT_MS,))
    connection.execute(
        "DELETE FROM keys WHERE id NOT IN (SELECT unit FROM visits UNION SELECT unit FROM units "
        "UNION SELECT deeds.user FROM deeds WHERE deeds.user IS NOT NULL "
        "UNION SELECT anonymous FROM deeds WHERE anonymous IS NOT NULL "
        "UNION SELECT device FROM devices "
        "UNION SELECT identities.user FROM identities UNION SELECT unit FROM identities)"
    )
