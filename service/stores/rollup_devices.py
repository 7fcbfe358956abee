"""Which device belongs to which unit: of visitors who were shown a page while they were signed in.

Their unit is not the device's own id, so what they do later with that id alone would be nobody's.
A device that two units were shown something on is neither's.
"""

from __future__ import annotations

from service.stores.event_log import Database

_COLUMNS = "(device INTEGER PRIMARY KEY, unit INTEGER)"
SCHEMA = f"CREATE TABLE devices {_COLUMNS}"
"""`unit` is empty where there are several."""
UPGRADE = f"CREATE TABLE IF NOT EXISTS devices {_COLUMNS}"
"""Of a file that knows no devices: it gets to know those of exposures that come from now on."""

# Runs while `rollup_folds` adds exposures: a click that is added up next may be of such a device.
FOLD_EXPOSURES = (
    """
CREATE TEMP TABLE carried AS
SELECT DISTINCT anonymous_key, unit_key FROM log.exposures
WHERE seq > :after AND seq <= :upto AND rollout_key IS NOT NULL AND reason = 'SPLIT'
  AND anonymous_key <> unit_key
""",
    """
INSERT INTO keys (key) SELECT DISTINCT anonymous_key FROM carried WHERE true ON CONFLICT DO NOTHING
""",
    """
INSERT INTO devices
SELECT mine.id, CASE WHEN min(theirs.id) = max(theirs.id) THEN min(theirs.id) END
FROM carried JOIN keys AS mine ON mine.key = anonymous_key
JOIN keys AS theirs ON theirs.key = unit_key
GROUP BY mine.id
ON CONFLICT (device) DO UPDATE
SET unit = CASE WHEN devices.unit = excluded.unit THEN devices.unit END
""",
    "DROP TABLE carried",
)


def find_unit_key(anonymous_key: str) -> str:
    """Find the pseudonym of a device's unit by the device's."""
    return f"""(
    SELECT owner.key FROM keys AS device CROSS JOIN devices ON devices.device = device.id
    CROSS JOIN keys AS owner ON owner.id = devices.unit WHERE device.key = {anonymous_key})"""


def forget(connection: Database, units: str) -> int:
    """Delete the devices of these units, and these as devices; return how many."""
    return connection.execute(
        f"DELETE FROM devices WHERE device IN ({units}) OR unit IN ({units})"
    ).rowcount
