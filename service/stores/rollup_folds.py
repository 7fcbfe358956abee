"""What adds new rows of the log to the running sums: SQL over whole chunks, never a row at a time.

Statements see ``log`` (the event store), ``:after`` and ``:upto`` (rows to add, by ``seq``), and
for those of `rollup_days` ``:assigned`` and ``:uncounted``; those of events ``:window_ms`` (see
`attribution`). What a unit adds to its arm is taken out before its row changes and put back after,
so sums over units never have to be made anew.
"""

from __future__ import annotations

from service.stores import rollup_days, rollup_devices
from service.stores.event_schema import EventFlag

ASSIGNED = 15
"""Stage of an exposure as stored; the later stages are the codes of events."""
CLICKED_UNKNOWN = 65
"""Stage of an exposure that was clicked, but only without consent."""
VARIANT_BITS = 20
"""`units.first` is the ms of a unit's first exposure, and below these bits its variant's number, so
that the least of them tells both."""
UNCOUNTED = int(EventFlag.BOT | EventFlag.PREVIEW)

_NUMBER = (1 << VARIANT_BITS) - 1

VARIANT = f"first & {_NUMBER}"
FIRST_MS = f"first >> {VARIANT_BITS}"

SPLIT = "rollout_key IS NOT NULL AND unit_key IS NOT NULL AND reason = 'SPLIT'"
"""Of exposures that are in an arm."""
EPOCH = "coalesce(epoch, 0)"

_NEW = "seq > :after AND seq <= :upto"
_PLACE = (
    "coalesce(placement_id, ''), coalesce(tier, ''), coalesce(platform, ''), coalesce(country, '')"
)
_VARIANT_NAME = "coalesce(variant, '')"

_ADD_STAGES = """
ON CONFLICT (rollout_key, epoch, variant, placement_id, tier, platform, country, stage)
DO UPDATE SET n = stages.n + excluded.n
"""


def name_id(column: str) -> str:
    """Find the number of a name."""
    return f"(SELECT id FROM names WHERE name = {column})"


def key_id(column: str) -> str:
    """Find the number of a pseudonym."""
    return f"(SELECT id FROM keys WHERE key = {column})"


def _move(sign: str) -> tuple[str, str]:
    """Add what the units of ``touched`` come to, or take it out."""
    return (
        f"""
INSERT INTO arms
SELECT rollout, epoch, {VARIANT}, {sign} count(*), {sign} sum(crossed), {sign} sum(n_exposures),
  {sign} sum(n_clicked), {sign} sum(n_exposures * n_exposures), {sign} sum(n_clicked * n_clicked),
  {sign} sum(n_exposures * n_clicked), {sign} sum(n_named), {sign} sum(n_joined)
FROM (SELECT rollout, unit, epoch FROM touched) AS moved
CROSS JOIN units USING (rollout, unit, epoch) GROUP BY 1, 2, 3
ON CONFLICT (rollout, epoch, variant) DO UPDATE SET n_units = arms.n_units + excluded.n_units,
  n_crossed = arms.n_crossed + excluded.n_crossed,
  n_exposures = arms.n_exposures + excluded.n_exposures,
  n_clicked = arms.n_clicked + excluded.n_clicked, sum_xx = arms.sum_xx + excluded.sum_xx,
  sum_cc = arms.sum_cc + excluded.sum_cc, sum_xc = arms.sum_xc + excluded.sum_xc,
  n_named = arms.n_named + excluded.n_named, n_joined = arms.n_joined + excluded.n_joined
""",
        f"""
INSERT INTO people
SELECT rollout, variant, {sign} count(*), {sign} sum(crossed) FROM (
  SELECT rollout, unit, {VARIANT} AS variant, max(crossed) AS crossed
  FROM (SELECT DISTINCT rollout, unit FROM touched) AS moved
  CROSS JOIN units USING (rollout, unit)
  GROUP BY 1, 2, 3
) AS one GROUP BY 1, 2
ON CONFLICT (rollout, variant) DO UPDATE SET n_units = people.n_units + excluded.n_units,
  n_crossed = people.n_crossed + excluded.n_crossed
""",
    )


TAKE_OUT, PUT_BACK = _move("-"), _move("+")

FOLD_EXPOSURES = (
    f"""
INSERT INTO names (name)
SELECT rollout_key FROM log.exposures WHERE {_NEW} AND {SPLIT}
UNION SELECT {_VARIANT_NAME} FROM log.exposures WHERE {_NEW} AND {SPLIT}
ON CONFLICT DO NOTHING
""",
    f"""
INSERT INTO keys (key)
SELECT DISTINCT unit_key FROM log.exposures WHERE {_NEW} AND {SPLIT}
ON CONFLICT DO NOTHING
""",
    f"""
CREATE TEMP TABLE fresh AS
SELECT seq, at_ms, crossover, {EPOCH} AS epoch,
       CASE WHEN {SPLIT} THEN {name_id("rollout_key")} END AS rollout,
       CASE WHEN {SPLIT} THEN {name_id(_VARIANT_NAME)} END AS variant,
       CASE WHEN {SPLIT} THEN {key_id("unit_key")} END AS unit,
       CASE WHEN kind = 'items' AND reason IS DISTINCT FROM 'ROBOT' THEN 1 ELSE 0 END AS is_item
FROM log.exposures WHERE {_NEW}
""",
    f"""
CREATE TEMP TABLE touched AS
SELECT rollout, unit, epoch, min(at_ms << {VARIANT_BITS} | variant) AS first, count(*) AS n,
       CASE WHEN max(crossover) > 0 OR min(variant) <> max(variant) THEN 1 ELSE 0 END AS crossed
FROM fresh WHERE unit IS NOT NULL GROUP BY 1, 2, 3
""",
    *TAKE_OUT,
    f"""
INSERT INTO units SELECT rollout, unit, epoch, first, n, crossed, 0, 0, 0 FROM touched WHERE true
ON CONFLICT (rollout, unit, epoch) DO UPDATE SET
  n_exposures = units.n_exposures + excluded.n_exposures,
  crossed = CASE WHEN units.crossed + excluded.crossed > 0
    OR (units.{VARIANT}) <> (excluded.{VARIANT}) THEN 1 ELSE 0 END,
  first = min(units.first, excluded.first)
""",
    *PUT_BACK,
    "DROP TABLE touched",
    f"""
INSERT INTO stages
SELECT rollout_key, {EPOCH}, {_VARIANT_NAME}, {_PLACE}, {ASSIGNED}, count(*)
FROM log.exposures WHERE {_NEW} AND {SPLIT}
GROUP BY 7, 6, 5, 4, 3, 2, 1
{_ADD_STAGES}
""",
    f"""
CREATE TEMP TABLE seen AS
SELECT place >> {2 * VARIANT_BITS + 1} AS day, place >> {2 * VARIANT_BITS} & 1 = 1 AS is_item,
       (SELECT name FROM names WHERE names.id = place >> {VARIANT_BITS} & {_NUMBER}) AS rollout_key,
       (SELECT name FROM names WHERE names.id = place & {_NUMBER}) AS variant, counted.id, n
FROM (
  SELECT one.value ->> 'id' AS id, place, count(*) AS n
  FROM (
    SELECT seq, (at_ms / {rollup_days.DAY_MS} * 2 + is_item << {2 * VARIANT_BITS})
      | (coalesce(rollout, 0) << {VARIANT_BITS}) | coalesce(variant, 0) AS place FROM fresh
  ) AS placed CROSS JOIN log.exposures USING (seq), json_each(shown) AS one GROUP BY 1, 2
) AS counted
""",
    "DROP TABLE fresh",
    """
INSERT INTO shown
SELECT rollout_key, variant, id, sum(n) FROM seen WHERE rollout_key IS NOT NULL GROUP BY 3, 2, 1
ON CONFLICT (rollout_key, variant, id) DO UPDATE SET n = shown.n + excluded.n
""",
    f"""
INSERT INTO not_split
SELECT rollout_key, coalesce(reason, 'NONE'), count(*)
FROM log.exposures WHERE {_NEW} AND rollout_key IS NOT NULL AND reason IS DISTINCT FROM 'SPLIT'
GROUP BY 1, 2
ON CONFLICT (rollout_key, reason) DO UPDATE SET n = not_split.n + excluded.n
""",
    *rollup_devices.FOLD_EXPOSURES,
    *rollup_days.FOLD_EXPOSURES,
    "DROP TABLE seen",
)

FOLD_IDENTITIES = (
    f"""
INSERT INTO keys (key)
SELECT user_key FROM log.identities WHERE {_NEW}
UNION SELECT unit_key FROM log.identities WHERE {_NEW}
ON CONFLICT DO NOTHING
""",
    f"""
INSERT INTO identities
SELECT {key_id("user_key")}, {key_id("unit_key")} FROM log.identities WHERE {_NEW}
ON CONFLICT DO NOTHING
""",
)

# Clicks, carts and purchases without an `exposure_id` go to the unit's last exposure of that item
# or banner; a grade always names its exposure. What comes without consent counts on the way from
# page to order, where nobody is named, but not for the unit; one who clicks with consent later does
# then. Whose the ids are is asked of when an event came, so it does not matter when it is added up.
# The unary plus keeps the scan in the order of `seq`.
FOLD_EVENTS = (
    f"""
CREATE TEMP TABLE done AS
SELECT event.kind, min(event.at_ms, event.received_ms) AS at_ms, event.user_key,
       event.anonymous_key, CASE WHEN event.user_key IS NULL AND named.seq IS NULL
         THEN {rollup_devices.FIND_UNIT_KEY} END AS device_key,
       (SELECT known.unit_key FROM log.identities AS known
        WHERE known.user_key = event.user_key AND known.at_ms <= event.received_ms) AS known_key,
       coalesce(event.item_id, event.banner_id) AS shown_id, event.item_id IS NULL AS is_banner,
       named.seq AS named_seq, event.variant AS drawn,
       CASE WHEN event.flags & {int(EventFlag.NO_CONSENT)} = 0 THEN 1 ELSE 0 END AS known
FROM log.events AS event
LEFT JOIN log.exposures AS named ON named.exposure_id = event.exposure_id
WHERE event.seq > :after AND event.seq <= :upto AND +event.kind IN (1, 2, 3, 16, 17)
  AND event.flags & {UNCOUNTED} = 0
""",
    """
CREATE TEMP TABLE hits AS
SELECT exposure_seq, stage, sum(named * known) AS n_named, sum((1 - named) * known) AS n_joined,
       max(known) AS is_known,
       NOT EXISTS (SELECT 1 FROM reached WHERE reached.exposure_seq = found.exposure_seq
                   AND reached.stage = found.stage) AS is_new
FROM (
  SELECT named_seq AS exposure_seq, kind AS stage, 1 AS named, known
  FROM done WHERE named_seq IS NOT NULL
  UNION ALL
  SELECT (
    SELECT exposure.seq FROM log.exposures AS exposure
    WHERE exposure.unit_key IN (
      done.known_key, done.user_key, done.anonymous_key, done.device_key)
      AND exposure.unit_key IS NOT NULL
      AND exposure.at_ms BETWEEN done.at_ms - :window_ms AND done.at_ms
      AND exposure.kind = iif(done.is_banner, 'banners', 'items')
      AND EXISTS (SELECT 1 FROM json_each(exposure.shown) AS one
                  WHERE one.value ->> 'id' = done.shown_id)
    ORDER BY exposure.at_ms DESC, exposure.seq DESC LIMIT 1
  ), kind, 0, known FROM done WHERE named_seq IS NULL AND kind <= 3
) AS found
WHERE exposure_seq IS NOT NULL GROUP BY exposure_seq, stage
""",
    "INSERT INTO reached SELECT exposure_seq, stage FROM hits WHERE is_new",
    f"""
CREATE TEMP TABLE touched AS
SELECT {name_id("rollout_key")} AS rollout, {key_id("unit_key")} AS unit, {EPOCH} AS epoch,
       sum(CASE WHEN is_new OR EXISTS (
         SELECT 1 FROM reached WHERE reached.exposure_seq = hits.exposure_seq
         AND reached.stage = {CLICKED_UNKNOWN}) THEN 1 ELSE 0 END) AS n_clicked,
       sum(hits.n_named) AS n_named, sum(hits.n_joined) AS n_joined
FROM hits JOIN log.exposures ON seq = exposure_seq
WHERE stage = 1 AND is_known = 1 AND {SPLIT}
GROUP BY 1, 2, 3
""",
    f"""
DELETE FROM reached WHERE stage = {CLICKED_UNKNOWN}
  AND exposure_seq IN (SELECT exposure_seq FROM hits WHERE stage = 1 AND is_known = 1)
""",
    f"""
INSERT INTO reached
SELECT exposure_seq, {CLICKED_UNKNOWN} FROM hits WHERE stage = 1 AND is_new AND is_known = 0
""",
    TAKE_OUT[0],
    """
UPDATE units SET n_clicked = units.n_clicked + touched.n_clicked,
  n_named = units.n_named + touched.n_named, n_joined = units.n_joined + touched.n_joined
FROM touched WHERE units.rollout = touched.rollout AND units.unit = touched.unit
  AND units.epoch = touched.epoch
""",
    PUT_BACK[0],
    "DROP TABLE touched",
    f"""
INSERT INTO stages
SELECT rollout_key, {EPOCH}, {_VARIANT_NAME}, {_PLACE}, stage, count(*)
FROM hits JOIN log.exposures ON seq = exposure_seq
WHERE is_new AND {SPLIT}
GROUP BY 8, 7, 6, 5, 4, 3, 2, 1
{_ADD_STAGES}
""",
    f"""
INSERT INTO misdrawn
SELECT exposure_id, rollout_key, {_VARIANT_NAME}, drawn
FROM done JOIN log.exposures ON seq = named_seq
WHERE drawn IS NOT NULL AND {SPLIT} AND {_VARIANT_NAME} <> drawn
ON CONFLICT DO NOTHING
""",
    rollup_days.FOLD_HITS,
    *rollup_days.FOLD_EVENTS,
    "DROP TABLE hits",
    "DROP TABLE done",
)
