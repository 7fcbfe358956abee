"""Forgets a person everywhere below a home, and searches afterwards for what may be left."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from models.artifact import ArtifactStore
from models.pseudonym import Pseudonymiser
from models.running_trainings import note_erased
from service.privacy.control_erasure import ControlErasure
from service.privacy.file_search import files_holding
from service.rollouts.bucketing import UnitKind
from service.rollouts.segment import number_of
from service.stores import erasures, log_replay
from service.stores.archive_files import ARCHIVE_FOLDER, archive_lock, drop_drafts, has_archive
from service.stores.compaction import compactable_files
from service.stores.event_log import EVENTS_FILE, EventLog, event_log
from service.stores.key_filter_filling import empty
from service.stores.personal_rows import delete_rows, keys_of, read_rows
from service.stores.rollup import ROLLUP_FILE
from service.stores.rollup_erasing import erase_units


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """One place that was looked at."""

    place: str
    rows: int


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was done for a person who asked to be forgotten; it names them by pseudonym only."""

    pseudonyms: Annotated[
        list[str], Meta(description="theirs, and of the visitors that were nobody else")
    ]
    erased: list[Erased]
    found_in: Annotated[
        list[str],
        Meta(description="files below the home that still hold a pseudonym or the id itself"),
    ]
    is_verified: Annotated[bool, Meta(description="nothing was found afterwards")]
    left_to_you: list[str]


_LEFT = [
    "Parquet files of 'endcap events export' and lists of 'endcap recommend' that you keep "
    "elsewhere: write them again",
    "your own files of interactions, if they name the person: take them out, or the next "
    "'endcap train' or 'endcap events import' brings them back; so does a list uploaded anew",
    "backups",
]
_TO_COMPACT = (
    "bytes that {files} still held: run 'endcap events compact' on this machine, a server may run; "
    "then erase again, to see that nothing is left"
)
_TO_PUT_AWAY = (
    "{files}: of the log that was here before events went to the database, and read by nobody now; "
    "delete what you do not want to keep, put the rest away outside of the home, and erase again, "
    "to see that nothing is left"
)
_LEFT_OF_A_FLEET = [
    "models on the other machines: run 'endcap users erase' on each",
    "free pages and the write-ahead log of the database server: VACUUM, and a log that ends",
]
_DATABASE = "database"
TOLD_S = 1.0
"""How long running workers have to read whom to drop from memory; they look five times a second."""


def erase_person(
    home: Path,
    pseudonymiser: Pseudonymiser,
    kind: UnitKind,
    external_id: str,
    *,
    control: ControlErasure,
    events: EventLog | None = None,
    wait_s: Callable[[float], None] = time.sleep,
) -> Receipt:
    """Erase a person and say where; asked again it finds nothing, and says so.

    Where one was cut off, the next one goes on with the same visitors. Without `events` the event
    store is the file of the home.

    Raises
    ------
    EndcapError
        If a place cannot be written; what was erased before stays erased: ask again.
    """
    events = event_log(home) if events is None else events
    person = pseudonymiser.pseudonym(kind, external_id)
    keys = _keys_of(events, person, control.now_ms())
    erased = [
        *_erase_rows(events, keys),
        *_erase_from_versions(home, keys),
        Erased(place="forced units of rollouts", rows=control.forget_forced(keys)),
        Erased(place="uploaded lists", rows=control.forget_members(keys)),
        Erased(place="audit trail and epochs", rows=control.forget_trail(keys)),
    ]
    told = erasures.announce(events, keys, control.now_ms())
    wait_s(TOLD_S)
    erasures.withdraw(events, told)
    erased += _erase_late_rows(events, keys)
    erased.append(Erased(place="memory of every worker process (told to drop it)", rows=0))
    erasures.end(events, person)
    texts = [*keys, *([external_id] if _is_telling(external_id) else [])]
    found_in = sorted([*search(home, texts, keys), *control.find_left(texts, keys)])
    if not isinstance(events, Path):
        left = read_rows(events, keys)
        found_in += [f"{_DATABASE}: {table}" for table, rows in left.items() if rows]
    return Receipt(
        pseudonyms=keys,
        erased=erased,
        found_in=found_in,
        is_verified=not found_in,
        left_to_you=[
            *(_to_compact if isinstance(events, Path) else _to_put_away)(found_in, home),
            *_LEFT,
            *([] if isinstance(events, Path) else _LEFT_OF_A_FLEET),
        ],
    )


def _keys_of(events: EventLog, person: str, now_ms: int) -> list[str]:
    """Find the pseudonyms to erase, and note them until all of it is done."""
    found = keys_of(events, person)
    keys = [person, *sorted({*found, *erasures.begun(events, person)} - {person})]
    erasures.begin(events, keys, now_ms)
    return keys


def search(home: Path, texts: Collection[str], keys: Collection[str] = ()) -> list[str]:
    """Name the files below a home in whose bytes one of these texts stands.

    Pseudonyms among `keys` are looked for as raw bytes too, and as the numbers of uploaded lists.
    Files of the archive are packed, so their values are searched as well.
    """
    needles = [text.encode() for text in texts]
    needles += [bytes.fromhex(key) for key in keys]
    needles += [number_of(key).to_bytes(8, "little") for key in keys]
    found = files_holding(home, needles)
    events = home / EVENTS_FILE
    if has_archive(events):
        from service.stores.archive import files_with_text  # noqa: PLC0415  # loads PyArrow

        found += files_with_text(events, texts)
    return sorted({*found})


def _erase_rows(events: EventLog, keys: list[str]) -> list[Erased]:
    """Delete a person's rows from the store, the archive and what is derived from them."""
    store, sums = _places(events)
    with archive_lock(events):
        archived = _erase_archived(events, keys)
        replayed = log_replay.forget(events, keys)
        deleted = delete_rows(events, keys)
    erased = [
        *(Erased(place=f"{store}: {table}", rows=n) for table, n in deleted.items()),
        *(Erased(place=file, rows=n) for file, n in archived.items()),
    ]
    if replayed:
        erased.append(Erased(place=log_replay.REPLAY_FILE, rows=replayed))
    empty(events)
    return [*erased, Erased(place=sums, rows=erase_units(events, keys))]


def _erase_late_rows(events: EventLog, keys: list[str]) -> list[Erased]:
    """Delete rows of what was answered while workers were told: it was on its way to the store."""
    store, sums = _places(events)
    late = {table: n for table, n in delete_rows(events, keys).items() if n}
    with archive_lock(events):
        replayed = log_replay.forget(events, keys)
    if not late and not replayed:
        return []
    empty(events)
    return [
        *(Erased(place=f"{store}: {table}, late", rows=n) for table, n in late.items()),
        Erased(place=f"{sums}, late", rows=erase_units(events, keys)),
    ]


def _erase_from_versions(home: Path, keys: list[str]) -> list[Erased]:
    """Take a person's row out of every version of the model, and of those to be published."""
    note_erased(home, keys)
    artifacts = ArtifactStore(home)
    return [
        Erased(
            place=f"model version {manifest.version}",
            rows=int(artifacts.erase_users(manifest.version, keys)),
        )
        for manifest in artifacts.settled_versions()
    ]


def _places(events: EventLog) -> tuple[str, str]:
    """Name the store and its sums, as a receipt does."""
    if isinstance(events, Path):
        return EVENTS_FILE, ROLLUP_FILE
    return _DATABASE, f"{_DATABASE}: sums"


def _erase_archived(events: EventLog, keys: list[str]) -> dict[str, int]:
    """Take the person out of every archived day, and count rows by file, or none of all."""
    drop_drafts(events)
    if not has_archive(events):
        return {}
    from service.stores.archive_removal import erase_archived  # noqa: PLC0415  # loads PyArrow
    from service.stores.archiving import finish_moves  # noqa: PLC0415  # as above

    finish_moves(events)
    return erase_archived(events, keys) or {ARCHIVE_FOLDER: 0}


def _to_compact(found_in: list[str], home: Path) -> list[str]:
    """Say what to do about files in whose gaps a pseudonym was left."""
    # What a log still holds is in the file once that is written anew.
    left = {name.removesuffix("-wal") for name in found_in} & set(compactable_files(home))
    return [_TO_COMPACT.format(files=" and ".join(sorted(left)))] if left else []


def _to_put_away(found_in: list[str], home: Path) -> list[str]:
    """Say what to do about files of a log that was moved to a database; no command clears them."""
    theirs = {*compactable_files(home), log_replay.REPLAY_FILE, ARCHIVE_FOLDER}
    left = {Path(name).parts[0].removesuffix("-wal") for name in found_in} & theirs
    return [_TO_PUT_AWAY.format(files=" and ".join(sorted(left)))] if left else []


def _is_telling(external_id: str) -> bool:
    """Say whether finding the id's bytes means the person, and not chance: `7` is everywhere."""
    return len(external_id.encode()) >= 8
