"""Forgets a person in the control plane: forced units, uploaded lists, and the trail of both."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from models.pseudonym import Pseudonymiser
from service.control.current import CurrentConfiguration
from service.control.fleet import check_fleet
from service.control.forced import kept_names
from service.control.plane import ControlPlane
from service.control.precondition import Precondition
from service.control.writing import Change
from service.rollouts.definition import Rollout
from service.rollouts.segment import Segment, number_of
from service.settings import Settings
from service.stores.audit import AuditEntry
from service.stores.control import ControlStore
from service.stores.segment_files import SegmentFiles

NOBODY = "0" * 32
"""Stands in the trail where a pseudonym stood."""
_NOTE = "a person was erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlErasure:
    """Where it works, and in whose name."""

    store: ControlStore
    plane: ControlPlane
    segment_files: SegmentFiles
    actor: str
    now_ms: Callable[[], int]

    def forget_forced(self, keys: Collection[str]) -> int:
        """Take a person out of the forced units of every rollout, and count the rollouts."""
        names = {name for key in keys for name in kept_names(key)}
        n_rollouts = 0
        for rollout in self.plane.list("rollout"):
            if isinstance(rollout, Rollout) and (found := names & set(rollout.forced)):
                self.plane.patch(
                    self._change("rollout", rollout.key), {"forced": dict.fromkeys(found)}
                )
                n_rollouts += 1
        return n_rollouts

    def forget_members(self, keys: Collection[str]) -> int:
        """Take a person off every uploaded list, and count the lists; older copies go too."""
        numbers = {number_of(key) for key in keys}
        current: set[tuple[str, str]] = set()
        n_lists = 0
        for segment in self.plane.list("segment"):
            if not isinstance(segment, Segment) or segment.content is None:
                continue
            members = self.segment_files.open(segment.key, segment.content, segment.n_members)
            content = segment.content
            found = [number for number in numbers if _has(members, number)]
            if found:
                rest = np.setdiff1d(
                    np.frombuffer(members, dtype=np.uint64), np.array(found, dtype=np.uint64)
                )
                content = self.segment_files.write(segment.key, rest)
                self.plane.put(
                    self._change("segment", segment.key),
                    msgspec.structs.replace(
                        segment, content=content, n_members=len(rest), revision=0
                    ),
                )
                n_lists += 1
            current.add((segment.key, content))
        self.segment_files.drop_old(numbers, current)
        return n_lists

    def forget_trail(self, keys: Collection[str]) -> int:
        """Take a person's pseudonyms out of the trail and the epochs, and count the rows."""
        with self.store.transaction() as transaction:
            found = transaction.redaction.replace(keys, NOBODY)
            if found.first_revision is not None:
                transaction.audit.append(
                    AuditEntry(
                        at_ms=self.now_ms(),
                        actor=self.actor,
                        kind="erasure",
                        id="audit",
                        before=None,
                        after=None,
                        note=f"{_NOTE}: the rows from {found.first_revision} on were sealed again "
                        f"without them; the newest hash before was {found.hash_before}",
                    )
                )
        self.store.drop_old_rows()
        return found.n_rows

    def find_left(self, texts: Collection[str], keys: Collection[str]) -> list[str]:
        """Name the tables of a shared database that hold a text, or a list with a pseudonym on it.

        A database of this home's own is a file, and searched as one.
        """
        with self.store.transaction() as transaction:
            found = transaction.shared_facts.tables_holding(texts)
        shared = self.store.shared_files
        if shared is not None:
            numbers = [number_of(key) for key in keys]
            members = np.array(numbers, dtype=np.uint64)
            found += [
                f"uploaded list {name}"
                for name, data in shared.read_all("segments")
                if np.isin(members, np.frombuffer(data, dtype="<u8")).any()
            ]
        return [f"control database: {one}" for one in found]

    def _change(self, kind: Literal["rollout", "segment"], document_id: str) -> Change:
        return Change(
            kind,
            document_id,
            self.actor,
            Precondition(),
            note=_NOTE,
            is_approved=True,
        )


@contextmanager
def open_control(
    settings: Settings, pseudonymiser: Pseudonymiser, *, actor: str, now_ms: Callable[[], int]
) -> Iterator[ControlErasure]:
    """Open the control plane of a home, as the command line does, which runs beside a server."""
    store = ControlStore(settings.control_place)
    with closing(store), closing(store.open_reader()) as reader:
        check_fleet(store, pseudonymiser, settings.home)
        segment_files = SegmentFiles(settings.home, store.shared_files)
        current = CurrentConfiguration(reader, segment_files=segment_files)
        plane = ControlPlane(store, current, pseudonymiser, now_ms)
        yield ControlErasure(
            store=store, plane=plane, segment_files=segment_files, actor=actor, now_ms=now_ms
        )


def _has(members: memoryview, number: int) -> bool:
    place = bisect_left(members, number)
    return place < len(members) and members[place] == number
