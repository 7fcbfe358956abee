"""Which device belongs to which unit: of visitors who were shown a page while they were signed in.

Their unit is not the device's own id, so what they do later with that id alone would be nobody's.
A device that two units were shown something on is neither's.
"""

from __future__ import annotations

from service.stores.event_log import Database

NEVER = (1 << 62) - 1

COLUMNS = """(
  device INTEGER PRIMARY KEY, unit INTEGER, first_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL)"""
SCHEMA = f"CREATE TABLE devices {COLUMNS}"
"""`unit` is the first that was shown something on it, `until_ms` is when another one was, which may
be `NEVER`; a device that is nobody's, whatever the time, has no unit."""

# Runs while `rollup_folds` adds exposures: a click that is added up next may be of such a device.
FOLD_EXPOSURES = (
    """
CREATE TEMP TABLE carried AS
SELECT anonymous_key, unit_key, min(at_ms) AS first_ms FROM log.exposures
WHERE seq > :after AND seq <= :upto AND rollout_key IS NOT NULL AND reason = 'SPLIT'
  AND anonymous_key <> unit_key
GROUP BY 1, 2
""",
    """
INSERT INTO keys (key) SELECT DISTINCT anonymous_key FROM carried WHERE true ON CONFLICT DO NOTHING
""",
    f"""
INSERT INTO devices
SELECT device, unit, first_ms, until_ms FROM (
  SELECT mine.id AS device, theirs.id AS unit, first_ms,
         lead(first_ms, 1, {NEVER}) OVER in_turn AS until_ms, row_number() OVER in_turn AS place
  FROM carried JOIN keys AS mine ON mine.key = anonymous_key
  JOIN keys AS theirs ON theirs.key = unit_key
  WINDOW in_turn AS (PARTITION BY mine.id ORDER BY first_ms)
) AS owned WHERE place = 1
ON CONFLICT (device) DO UPDATE
SET unit = CASE WHEN devices.unit IS NULL OR devices.first_ms <= excluded.first_ms
    THEN devices.unit ELSE excluded.unit END,
  first_ms = min(devices.first_ms, excluded.first_ms),
  until_ms = CASE WHEN devices.unit = excluded.unit
      THEN min(devices.until_ms, excluded.until_ms)
    WHEN devices.first_ms <= excluded.first_ms
      THEN min(devices.until_ms, excluded.first_ms)
    ELSE min(devices.first_ms, excluded.until_ms) END
""",
    "DROP TABLE carried",
)

# Asked of when the event came: it must not matter when it is added up.
FIND_UNIT_KEY = """(
    SELECT owner.key FROM keys AS device CROSS JOIN devices ON devices.device = device.id
    CROSS JOIN keys AS owner ON owner.id = devices.unit WHERE device.key = event.anonymous_key
    AND devices.first_ms <= event.received_ms AND devices.until_ms > event.received_ms)"""
"""The pseudonym of the unit that a device belongs to, for an ``event`` that says nothing else."""


def forget(connection: Database, units: str) -> int:
    """Delete the devices of these units, and these as devices; return how many.

    One that was theirs first, and then somebody else's, goes on being nobody's.
    """
    connection.execute(
        f"UPDATE devices SET unit = NULL WHERE unit IN ({units}) AND until_ms < {NEVER}"
    )
    return connection.execute(
        f"DELETE FROM devices WHERE device IN ({units}) OR unit IN ({units})"
    ).rowcount
