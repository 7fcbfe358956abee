"""The mark of the pseudonym key that an event store was written under, and who is named in a file.

It tells nothing of the key, but whether another one is the same.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from models.errors import ConfigError
from models.pseudonym import KEY_FILE, KEY_VARIABLE
from service.stores.event_database import connect, reported
from service.stores.event_log import EventLog, PostgresLog

_NAMING = {
    "exposures": "WHERE unit_key IS NOT NULL",
    "events": "WHERE user_key IS NOT NULL OR anonymous_key IS NOT NULL OR session_key IS NOT NULL",
    "identities": "",
}
"""Rows that name somebody, by table."""


def agree_on_pseudonyms(log: EventLog, mark: bytes, *, is_new: bool = False) -> None:
    """Refuse pseudonyms that are not those of the stored events, by a mark of their key.

    A file keeps 31 bits of it in its header, a database all; a log without one takes this.
    With `is_new` the key was changed, and the mark is from now on this one.

    Raises
    ------
    ConfigError
        If they are not.
    StoreError
        If the store cannot be read or written.
    """
    if isinstance(log, PostgresLog):
        from service.stores import postgres_schema  # noqa: PLC0415  # its driver

        postgres_schema.agree_on_pseudonyms(log, mark.hex(), is_new=is_new)
    elif log.exists():
        _mark_file(log, int.from_bytes(mark[:4]) >> 1 or 1, is_new=is_new)


def _mark_file(log: Path, mark: int, *, is_new: bool) -> None:
    with reported(log), closing(connect(log, is_light=True)) as connection:
        (known,) = connection.execute("PRAGMA application_id").fetchone()
        if not known or (is_new and known != mark):
            connection.execute(f"PRAGMA application_id = {mark}")
        elif known != mark:
            raise ConfigError(
                f"{log} was written under another pseudonym key than the one in use, and every "
                f"shopper would be a stranger; restore {KEY_FILE} of {log.parent} from the same "
                f"backup, or set {KEY_VARIABLE} to its value; if it is lost, 'endcap keys "
                f"rotate-pseudonym --home {log.parent}' makes a new one and says what is lost"
            )


def has_mark(log: EventLog) -> bool:
    """Tell whether a store has been held to a pseudonym key, though nobody may be named in it.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    if isinstance(log, PostgresLog):
        from service.stores import postgres_schema  # noqa: PLC0415  # its driver

        return postgres_schema.has_mark(log)
    if not log.exists():
        return False
    with reported(log), closing(connect(log, read_only=True)) as connection:
        return bool(connection.execute("PRAGMA application_id").fetchone()[0])


def names_anybody(log: Path) -> bool:
    """Tell whether a row of a file holds a pseudonym.

    Raises
    ------
    StoreError
        If the file cannot be read.
    """
    if not log.exists():
        return False
    with reported(log), closing(connect(log, read_only=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        known = {name for (name,) in tables.fetchall()}
        return any(
            connection.execute(f"SELECT EXISTS (SELECT 1 FROM {table} {where})").fetchone()[0]
            for table, where in _NAMING.items()
            if table in known
        )
