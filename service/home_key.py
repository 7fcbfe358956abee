"""The pseudonym key of a home that holds data: never another one than the data were made with."""

from __future__ import annotations

import os
from pathlib import Path

from models.errors import ConfigError
from models.pseudonym import KEY_FILE, KEY_VARIABLE, Pseudonymiser, load_pseudonymiser
from service.stores.archive_files import has_archive
from service.stores.event_log import EventLog, PostgresLog
from service.stores.key_mark import agree_on_pseudonyms, has_mark, names_anybody

_SHARED_EVENTS = "events of several machines"
"""What the mark of a pseudonym key is derived for."""


def load_home_key(home: Path, events: EventLog) -> Pseudonymiser:
    """Read the key of a home, or make one where there has been none and nobody is named yet.

    Raises
    ------
    ConfigError
        If it is missing, or is not the one that the stored events were written under.
    StoreError
        If the event store cannot be read.
    """
    is_missing = KEY_VARIABLE not in os.environ and not (home / KEY_FILE).exists()
    if is_missing:
        _refuse_new_key(home, events)
    pseudonymiser = load_pseudonymiser(home)
    agree_on_pseudonyms(events, pseudonymiser.derive(_SHARED_EVENTS))
    return pseudonymiser


def note_new_key(home: Path, events: EventLog) -> Pseudonymiser:
    """Hold the event store to the key that the home has now, and return it.

    Raises
    ------
    StoreError
        If the event store cannot be written.
    """
    pseudonymiser = load_pseudonymiser(home)
    agree_on_pseudonyms(events, pseudonymiser.derive(_SHARED_EVENTS), is_new=True)
    return pseudonymiser


def _refuse_new_key(home: Path, events: EventLog) -> None:
    if isinstance(events, PostgresLog):
        if has_mark(events):
            raise ConfigError(
                f"{home / KEY_FILE} is missing, and the events in {events} were stored under "
                f"another one than a new one would be; copy {KEY_FILE} from the home of a machine "
                f"that uses this database, or set {KEY_VARIABLE} to its value"
            )
    # The mark alone is not enough: an older release has set none.
    elif has_mark(events) or has_archive(events) or names_anybody(events):
        raise ConfigError(
            f"{home / KEY_FILE} is missing, and {events.name} was written under it; with a new key "
            "every shopper would be a stranger and no erasure would find anybody; restore "
            f"{KEY_FILE} from the backup, or set {KEY_VARIABLE} to its value; if it is lost, "
            f"'endcap keys rotate-pseudonym --home {home}' makes a new one and says what is lost"
        )
