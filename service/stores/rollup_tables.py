"""The tables of the running sums, and what makes those of an older file into them.

An upgrade keeps the sums, for what they were made of may be deleted by now. The tables of a file of
any other version are made anew.
"""

from __future__ import annotations

from functools import partial

from service.stores import log_replay, rollup_days, rollup_deeds, rollup_devices, rollup_visits
from service.stores.derived import make_tables
from service.stores.event_log import ROLLUP, Database, EventLog
from service.stores.rollup_days import TOLD_CHANNEL, TOLD_PERSON

VERSION = 10

TABLES = f"""
CREATE TABLE progress (name TEXT PRIMARY KEY, seq INTEGER NOT NULL);
INSERT INTO progress VALUES ('exposures', 0), ('events', 0), ('identities', 0);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE keys (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE identities ("user" INTEGER PRIMARY KEY, unit INTEGER NOT NULL);
CREATE TABLE units (
  rollout INTEGER, unit INTEGER, epoch INTEGER, first INTEGER NOT NULL,
  n_exposures INTEGER NOT NULL, crossed INTEGER NOT NULL, n_clicked INTEGER NOT NULL,
  n_named INTEGER NOT NULL, n_joined INTEGER NOT NULL,
  PRIMARY KEY (rollout, unit, epoch)) WITHOUT ROWID;
CREATE TABLE arms (
  rollout INTEGER, epoch INTEGER, variant INTEGER, n_units INTEGER NOT NULL,
  n_crossed INTEGER NOT NULL, n_exposures INTEGER NOT NULL, n_clicked INTEGER NOT NULL,
  sum_xx INTEGER NOT NULL, sum_cc INTEGER NOT NULL, sum_xc INTEGER NOT NULL,
  n_named INTEGER NOT NULL, n_joined INTEGER NOT NULL,
  PRIMARY KEY (rollout, epoch, variant)) WITHOUT ROWID;
CREATE TABLE people (
  rollout INTEGER, variant INTEGER, n_units INTEGER NOT NULL, n_crossed INTEGER NOT NULL,
  PRIMARY KEY (rollout, variant)) WITHOUT ROWID;
CREATE TABLE stages (
  rollout_key TEXT, epoch INTEGER, variant TEXT, placement_id TEXT, tier TEXT, platform TEXT,
  country TEXT, stage INTEGER, n INTEGER NOT NULL,
  PRIMARY KEY (rollout_key, epoch, variant, placement_id, tier, platform, country, stage)
) WITHOUT ROWID;
CREATE TABLE shown (
  rollout_key TEXT, variant TEXT, id TEXT, n INTEGER NOT NULL,
  PRIMARY KEY (rollout_key, variant, id)) WITHOUT ROWID;
CREATE TABLE not_split (
  rollout_key TEXT, reason TEXT, n INTEGER NOT NULL,
  PRIMARY KEY (rollout_key, reason)) WITHOUT ROWID;
CREATE TABLE misdrawn (
  exposure_id TEXT PRIMARY KEY, rollout_key TEXT NOT NULL, variant TEXT NOT NULL,
  drawn TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE reached (
  exposure_seq INTEGER, stage INTEGER, PRIMARY KEY (exposure_seq, stage)) WITHOUT ROWID;
{rollup_devices.SCHEMA};
{rollup_days.SCHEMA};
{rollup_deeds.SCHEMA};
{rollup_visits.SCHEMA}"""

_NEW_DEEDS = f"DROP TABLE deeds;\nDELETE FROM progress WHERE name = 'deeds';{rollup_deeds.SCHEMA}"
"""Of a file whose deeds say nothing of what they name, or refunds nothing of their order."""
_TOLD_DEEDS = "ALTER TABLE deeds ADD COLUMN by_server INTEGER NOT NULL DEFAULT 0"
"""Of a file whose deeds do not say who told of them; nothing that was stored before says it."""
_TOLD_ORDERS = "ALTER TABLE orders ADD COLUMN by_server INTEGER NOT NULL DEFAULT 0"
"""Of a file whose orders do not say who told of them; nothing that was stored before says it."""
_WHOLLY_TOLD = f"UPDATE orders SET by_server = {1 | TOLD_PERSON | TOLD_CHANNEL} WHERE by_server = 1"
"""Of a file whose orders do not say what the server told of them: it stays as it is."""
_TIMED_DEVICES = f"""
CREATE TABLE IF NOT EXISTS devices (device INTEGER PRIMARY KEY, unit INTEGER);
CREATE TABLE timed {rollup_devices.COLUMNS};
INSERT INTO timed SELECT device, unit, 0, {rollup_devices.NEVER} FROM devices;
DROP TABLE devices;
ALTER TABLE timed RENAME TO devices"""
"""Of a file that knows no devices, or not since when: it gets to know those of exposures that come
from now on."""

_FROM_6 = (_NEW_DEEDS, _TIMED_DEVICES, _TOLD_ORDERS)
UPGRADES = {
    version: ";\n".join(statements)
    for version, statements in {
        5: (*_FROM_6, rollup_visits.SCHEMA),
        6: _FROM_6,
        7: _FROM_6,
        8: (_TOLD_DEEDS, _TOLD_ORDERS, _TIMED_DEVICES),
        9: (_TIMED_DEVICES, _WHOLLY_TOLD),
    }.items()
}
"""By the version of a file; a database of another version is made anew."""


def make(connection: Database, events: EventLog) -> None:
    """Make the tables, or an older file's into them; sums that begin anew want the archive.

    Raises
    ------
    NewerSumsError
        If a newer release has made those of a database that machines share.
    """
    on_made = partial(_want_archive, connection, events)
    make_tables(connection, ROLLUP, VERSION, TABLES, upgrades=UPGRADES, on_made=on_made)


def _want_archive(connection: Database, events: EventLog) -> None:
    # Tables that only got a column have all of it.
    if connection.execute("SELECT seq = 0 FROM progress WHERE name = 'deeds'").fetchone()[0]:
        log_replay.mark(connection, events)
