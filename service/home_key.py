"""The pseudonym key of a home that holds data: never another one than the data were made with."""

from __future__ import annotations

import os
from pathlib import Path

from models.errors import ConfigError
from models.pseudonym import KEY_FILE, KEY_VARIABLE, Pseudonymiser, load_pseudonymiser
from service.stores.archive_files import has_archive
from service.stores.event_database import agree_on_pseudonyms, names_anybody
from service.stores.event_log import EventLog

_SHARED_EVENTS = "events of several machines"
"""What the mark of a pseudonym key is derived for."""


def load_home_key(home: Path, events: EventLog) -> Pseudonymiser:
    """Read the key of a home, or make one where nobody is named yet.

    Raises
    ------
    ConfigError
        If it is missing, or is not the one that the stored events were written under.
    StoreError
        If the event store cannot be read.
    """
    is_missing = KEY_VARIABLE not in os.environ and not (home / KEY_FILE).exists()
    if is_missing and isinstance(events, Path) and (has_archive(events) or names_anybody(events)):
        raise ConfigError(
            f"{home / KEY_FILE} is missing, and {events.name} was written under it; with a new key "
            "every shopper would be a stranger and no erasure would find anybody; restore "
            f"{KEY_FILE} from the backup, or set {KEY_VARIABLE} to its value; if it is lost, "
            f"'endcap keys rotate-pseudonym --home {home}' makes a new one and says what is lost"
        )
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
