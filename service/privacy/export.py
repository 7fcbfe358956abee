"""A copy of everything that is kept of one person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from models.artifact import ArtifactStore
from models.events import InteractionKind
from models.pseudonym import Pseudonymiser
from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.control.forced import kept_names
from service.rollouts.bucketing import UnitKind
from service.rollouts.segment import MemberList, Segment
from service.stores.control import ControlStore
from service.stores.control_rows import StoredDocument
from service.stores.event_log import EventLog, event_log
from service.stores.person_sums import read_sums
from service.stores.personal_rows import Row, keys_of, read_rows
from service.stores.segment_files import SegmentFiles


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """An item in a person's history, as a model version keeps it."""

    item_id: str
    event: str
    at_ms: int


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a model version knows of a person."""

    version: str
    pseudonym: str
    history: list[ModelRow]
    purchased: list[str]
    segments: list[str]


class Forced(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout that always gives the person one variant."""

    rollout: str
    variant: str


class PersonalData(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of a person."""

    pseudonyms: list[str]
    rows: Annotated[dict[str, list[Row]], Meta(description="by table of the event store")]
    sums: Annotated[
        dict[str, list[Row]],
        Meta(description="by table of the running sums, which may outlive the rows"),
    ]
    models: list[ModelEntry]
    forced: list[Forced]
    lists: Annotated[list[str], Meta(description="keys of uploaded lists that the person is on")]


def export_person(
    home: Path,
    control: ControlStore,
    pseudonymiser: Pseudonymiser,
    kind: UnitKind,
    external_id: str,
    *,
    events: EventLog | None = None,
) -> PersonalData:
    """Collect what is kept of a person; empty lists for one who is not known.

    Raises
    ------
    EndcapError
        If a store cannot be read.
    """
    pseudonym = pseudonymiser.pseudonym(kind, external_id)
    return export_pseudonym(home, control, pseudonym, events=events)


def export_pseudonym(
    home: Path, control: ControlStore, pseudonym: str, *, events: EventLog | None = None
) -> PersonalData:
    """Collect what is kept of whom a pseudonym stands for.

    Raises
    ------
    EndcapError
        If a store cannot be read.
    """
    events = event_log(home) if events is None else events
    keys = keys_of(events, pseudonym)
    artifacts = ArtifactStore(home)
    with control.transaction() as transaction:
        rollouts = transaction.list_documents("rollout")
        segments = transaction.list_documents("segment")
    segment_files = SegmentFiles(home, control.shared_files)
    names = {name for key in keys for name in kept_names(key)}
    snapshots = [artifacts.open(manifest.version) for manifest in artifacts.versions()]
    return PersonalData(
        pseudonyms=keys,
        rows=read_rows(events, keys),
        sums=read_sums(events, keys),
        models=[
            entry
            for snapshot in snapshots
            for key in keys
            if (entry := _entry(snapshot, key)) is not None
        ],
        forced=[
            Forced(rollout=stored.id, variant=variant)
            for stored in rollouts
            for unit, variant in msgspec.json.decode(stored.body, type=_Rollout).forced.items()
            if unit in names
        ],
        lists=[stored.id for stored in segments if _is_on(segment_files, stored, keys)],
    )


class _Rollout(msgspec.Struct):
    forced: dict[str, str] = {}


def _is_on(segment_files: SegmentFiles, stored: StoredDocument, keys: list[str]) -> bool:
    segment = msgspec.json.decode(stored.body, type=Segment)
    if segment.unit is None or segment.content is None:
        return False
    numbers = segment_files.open(stored.id, segment.content, segment.n_members)
    members = MemberList(segment.unit, numbers)
    return any(members.has(key, key) for key in keys)


def _entry(snapshot: Snapshot, key: str) -> ModelEntry | None:
    users, items = snapshot.users, snapshot.items.ids
    row = users.ids.row(key)
    if row == MISSING_ROW:
        return None
    start, end = users.history.offsets[row : row + 2]
    return ModelEntry(
        version=snapshot.manifest.version,
        pseudonym=key,
        history=[
            ModelRow(
                item_id=items.id(int(item)), event=InteractionKind(kind).event, at_ms=int(at_ms)
            )
            for item, kind, at_ms in zip(
                users.history[row],
                users.history_kinds[start:end],
                users.history_at_ms[start:end],
                strict=True,
            )
        ],
        purchased=items.ids(users.purchased[row].tolist()),
        segments=users.segment_keys.ids(users.segments[row].tolist()),
    )
