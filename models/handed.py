"""What each side gives to the commands of the other: service and trainer do not import each other,
so ``endcap.py`` hands it over."""

from __future__ import annotations

from typing import NamedTuple

from models.past import ReadPast
from models.pseudonym import LoadKey


class Handed(NamedTuple):
    """The object that every command may ask for."""

    read_past: ReadPast
    """The trainer's, for the service."""
    load_key: LoadKey
    """The service's, for the trainer."""
