"""Moves a machine's control plane into the database that several machines are to share."""

from __future__ import annotations

from pathlib import Path

import msgspec

from models.errors import ConfigError, ConflictError
from models.plural import plural
from models.pseudonym import Pseudonymiser
from service.control.fleet import check_fleet
from service.rollouts.segment import Segment
from service.settings import CONTROL_FILE, Settings
from service.stores.control import ControlStore
from service.stores.pictures import PictureFiles
from service.stores.segment_files import SegmentFiles


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What was copied; the home keeps its own as it was."""

    rows: dict[str, int]
    """By table."""
    lists: int
    pictures: int


def move_control(settings: Settings, pseudonymiser: Pseudonymiser) -> Moved:
    """Copy `control.sqlite` with its trail, lists and pictures of a home into an empty database.

    Raises
    ------
    ConfigError
        If the settings name no database, or the home has nothing to copy.
    ConflictError
        If the database holds a control plane already.
    StoreError
        If one of the two cannot be read or written, or the trail of the home has a gap.
    """
    file = settings.home / CONTROL_FILE
    if settings.control_place == file:
        raise ConfigError("set ENDCAP_CONTROL_URL to the database to move to")
    if not file.is_file():
        raise ConfigError(f"there is no {file}; name the home that has it with --home")
    source, target = ControlStore(file), ControlStore(settings.control_place)
    try:
        check_fleet(target, pseudonymiser, settings.home)
        with source.transaction() as old, target.transaction() as new:
            given = new.audit.last_revision_given()
            if given:
                raise ConflictError(
                    f"the database holds a control plane at revision {given}; name an empty one: "
                    "the first start of a server writes the first keys"
                )
            segments = old.list_documents("segment")
            # Before the documents that name them, which are there when this commits.
            shared = target.shared_files
            lists = SegmentFiles(settings.home, shared).share(
                (stored.id, segment.content)
                for stored in segments
                if (segment := msgspec.json.decode(stored.body, type=Segment)).content is not None
            )
            pictures = PictureFiles(settings.home, shared).share()
            rows = new.copy_rows(old)
    finally:
        source.close()
        target.close()
    return Moved(rows=rows, lists=lists, pictures=pictures)


def describe(moved: Moved, home: Path) -> str:
    """Say what was moved, in a line."""
    rows = ", ".join(f"{n} {table}" for table, n in moved.rows.items())
    return (
        f"copied {rows}, {plural(moved.lists, 'list')}, {plural(moved.pictures, 'picture')}; the "
        f"file in {home} stays as it is, and is of no use to machines that share the database"
    )
